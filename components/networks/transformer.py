"""A small vision transformer: DeiT-tiny of Touvron et al. 2021, https://arxiv.org/abs/2012.12877, without distillation.

Its answer is the map of its patches, which is averaged as BEiT does (Bao et al. 2022, https://arxiv.org/abs/2106.08254)
rather than the class token: so it has a place for everything, like all the other trunks.
"""

import re
from pathlib import Path

import keras
import numpy as np
from keras import layers

from components.networks.scaling import standardised
from components.networks.weights.published import Published
from components.networks.weights.torch_layout import State, keras_arrays, load_torch_layout

PUBLISHED = Published("https://dl.fbaipublicfiles.com/deit/deit_tiny_patch16_224-a1311bcf.pth", "a1311bcf")
PATCH = 16  # pixels
_WIDTH, _HEADS, _DEPTH = 192, 3, 12
_EPSILON = 1e-6
_DROP_RATE = 0.1  # of the last block's residual branches; earlier blocks drop less, in proportion

# Layers with weights, within a block or at either end, to timm's modules.
_BLOCK_MODULES = {"norm1": "norm1", "attention": "attn", "norm2": "norm2", "dense1": "mlp.fc1", "dense2": "mlp.fc2"}
_MODULES = {"stem_patches": "patch_embed.proj", "stem_tokens": "", "top_norm": "norm"}


@keras.saving.register_keras_serializable("fashion")
class Tokens(layers.Layer):
    """Sets a learnt token before the patches [n, t, d] and adds to each of the t + 1 its learnt position."""

    def build(self, input_shape: tuple[int | None, int, int]) -> None:
        """Makes the token, [1, 1, d], and the positions, [1, t + 1, d]."""
        _, count, width = input_shape
        self.token = self.add_weight(shape=(1, 1, width), initializer=_start(), name="token")
        self.positions = self.add_weight(shape=(1, count + 1, width), initializer=_start(), name="positions")

    def call(self, patches: keras.KerasTensor) -> keras.KerasTensor:
        """Patches [n, t, d] to tokens [n, t + 1, d]."""
        token = keras.ops.broadcast_to(self.token, (keras.ops.shape(patches)[0], *self.token.shape[1:]))
        return keras.ops.concatenate([keras.ops.cast(token, patches.dtype), patches], axis=1) + self.positions


def build_vit_tiny(size: int) -> keras.Model:
    """Builds the trunk with random weights; `size` is a multiple of `PATCH`, its map [n, size/16, size/16, 192]."""
    side = size // PATCH
    pictures = keras.Input((size, size, 3), name="pictures")
    x = layers.Conv2D(_WIDTH, PATCH, PATCH, kernel_initializer=_start(), name="stem_patches")(standardised(pictures))
    x = Tokens(name="stem_tokens")(layers.Reshape((side * side, _WIDTH), name="stem_rows")(x))
    for number in range(1, _DEPTH + 1):
        x = _block(x, f"block{number}", _DROP_RATE * (number - 1) / (_DEPTH - 1))
    x = layers.LayerNormalization(epsilon=_EPSILON, name="top_norm")(x)
    x = layers.Reshape((side, side, _WIDTH), name="top_map")(x[:, 1:])
    return keras.Model(pictures, x, name="vit_tiny")


def load_torch_weights(trunk: keras.Model, path: Path) -> None:
    """Loads a state dict in the layout of timm's deit_tiny_patch16_224; its classifier is left out.

    The positions are learnt for pictures of one size; for another they are resized as a picture would be.

    Raises:
        WeightsError: the file is not a checkpoint, or not one of this network.
    """
    remedy = f"Give the state dict of timm's deit_tiny_patch16_224, or {PUBLISHED.url}"
    load_torch_layout(trunk, path, _module_of, "DeiT-tiny", remedy, _arrays)


def _block(x: keras.KerasTensor, name: str, rate: float) -> keras.KerasTensor:
    """Attention and a dense part, each normalised before and added after."""
    normed = layers.LayerNormalization(epsilon=_EPSILON, name=f"{name}_norm1")(x)
    attention = layers.MultiHeadAttention(
        _HEADS, _WIDTH // _HEADS, kernel_initializer=_start(), name=f"{name}_attention"
    )
    x = _added(x, attention(normed, normed), f"{name}_1", rate)
    y = layers.LayerNormalization(epsilon=_EPSILON, name=f"{name}_norm2")(x)
    y = layers.Dense(4 * _WIDTH, kernel_initializer=_start(), name=f"{name}_dense1")(y)
    y = layers.Activation("gelu", name=f"{name}_gelu")(y)
    return _added(x, layers.Dense(_WIDTH, kernel_initializer=_start(), name=f"{name}_dense2")(y), f"{name}_2", rate)


def _added(x: keras.KerasTensor, branch: keras.KerasTensor, name: str, rate: float) -> keras.KerasTensor:
    # Stochastic depth: the branch is left out for some pictures as a whole.
    branch = layers.Dropout(rate, noise_shape=(None, 1, 1), name=f"{name}_drop")(branch)
    return layers.Add(name=f"{name}_add")([x, branch])


def _start() -> keras.initializers.Initializer:
    # One for each weight: an initializer that is used again gives the same numbers again.
    return keras.initializers.TruncatedNormal(stddev=0.02)


def _module_of(layer: str) -> str | None:
    if match := re.fullmatch(r"block(\d+)_(\w+)", layer):
        module = _BLOCK_MODULES.get(match[2])
        return module and f"blocks.{int(match[1]) - 1}.{module}"
    return _MODULES.get(layer)


def _arrays(layer: layers.Layer, module: str, state: State) -> list[np.ndarray]:
    match layer:
        case Tokens():
            return [state["cls_token"], _resized(state["pos_embed"], layer.positions.shape[1] - 1)]
        case layers.MultiHeadAttention():
            return _attention_arrays(module, state)
    return keras_arrays(layer, module, state)


def _attention_arrays(module: str, state: State) -> list[np.ndarray]:
    """Query, key and value lie in one matrix [3 · heads · depth, width] there, and apart, per head, in Keras."""
    depth = _WIDTH // _HEADS
    kernels = state[f"{module}.qkv.weight"].reshape(3, _HEADS, depth, _WIDTH).transpose(0, 3, 1, 2)
    biases = state[f"{module}.qkv.bias"].reshape(3, _HEADS, depth)
    output = state[f"{module}.proj.weight"].T.reshape(_HEADS, depth, _WIDTH)
    pairs = [array for pair in zip(kernels, biases, strict=True) for array in pair]
    return [*pairs, output, state[f"{module}.proj.bias"]]


def _resized(positions: np.ndarray, count: int) -> np.ndarray:
    """Positions [1, 1 + t, d] of the class token and a square of t patches, for a square of `count` patches."""
    token, grid = positions[:, :1], positions[:, 1:]
    before, after = (round(patches**0.5) for patches in (grid.shape[1], count))
    if before == after:
        return positions
    square = grid.reshape(1, before, before, -1)
    square = keras.ops.image.resize(square, (after, after), interpolation="bicubic", antialias=True)
    return np.concatenate([token, keras.ops.convert_to_numpy(square).reshape(1, count, -1)], axis=1)
