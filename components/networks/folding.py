"""Batch norms that no longer learn, folded into the convolutions before them: the same network, a quarter faster.

Jacob et al. 2018, section 3.2, https://arxiv.org/abs/1712.05877. A convolution's kernel is multiplied with the scale
that the norm applies to each channel, and what the norm adds becomes its bias.
"""

from collections import Counter
from dataclasses import dataclass

import keras
import numpy as np

from components.networks.layers import inputs_of, producer_of


@dataclass(frozen=True)
class _Pair:
    """A convolution, and the batch norm that alone reads it."""

    convolution: keras.layers.Layer
    norm: keras.layers.BatchNormalization


def fold_batch_norms(network: keras.Model) -> keras.Model:
    """Returns a network of the same layers and the same answers in inference, without the norms that could be folded.

    Norms that follow something else than one convolution stay. The given network is left as it is.
    """
    pairs = _pairs(network)
    folded = _without_norms(network, pairs)
    for layer in _weighted(folded):
        pair = pairs.get(layer.name)
        layer.set_weights(_merged(pair) if pair else network.get_layer(layer.name).get_weights())
    return folded


def unfold_batch_norms(network: keras.Model, folded: keras.Model) -> None:
    """Gives a network the weights of what `fold_batch_norms` made of its like, and with them its answers.

    Norms that had been folded then scale by one and add the bias.
    """
    pairs = _pairs(network)
    for layer in _weighted(folded):
        pair = pairs.get(layer.name)
        if pair is None:
            network.get_layer(layer.name).set_weights(layer.get_weights())
            continue
        kernel, offset = layer.get_weights()
        given = [kernel, np.zeros_like(offset)]
        pair.convolution.set_weights(given[: len(pair.convolution.weights)])
        _set_offset(pair.norm, offset)


def _pairs(network: keras.Model) -> dict[str, _Pair]:
    """Name of each convolution whose norm can be folded into it, to both."""
    readers = Counter(producer_of(tensor) for layer in network.layers for tensor in inputs_of(layer))
    outputs = {producer_of(tensor) for tensor in network.outputs}
    layers, pairs = {layer.name: layer for layer in network.layers}, {}
    for norm in network.layers:
        if not isinstance(norm, keras.layers.BatchNormalization):
            continue
        before = layers.get(producer_of(norm.input))
        if (
            isinstance(before, keras.layers.Conv2D | keras.layers.DepthwiseConv2D)
            and before.activation is keras.activations.linear
            and readers[before.name] == 1
            and before.name not in outputs
        ):
            pairs[before.name] = _Pair(before, norm)
    return pairs


def _without_norms(network: keras.Model, pairs: dict[str, _Pair]) -> keras.Model:
    gone = {pair.norm.name for pair in pairs.values()}

    def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        return type(layer).from_config(config | {"use_bias": True} if layer.name in pairs else config)

    def call(layer: keras.layers.Layer, *args: object, **kwargs: object) -> object:
        return args[0] if layer.name in gone else layer(*args, **kwargs)

    return keras.models.clone_model(network, clone_function=copy, call_function=call)


def _merged(pair: _Pair) -> list[np.ndarray]:
    """Kernel and bias that do what both do."""
    norm = pair.norm
    mean, variance = (np.asarray(each, np.float64) for each in (norm.moving_mean, norm.moving_variance))
    scale = 1 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        scale = scale * np.asarray(norm.gamma)
    offset = np.asarray(norm.beta) if norm.center else 0.0
    kernel, *bias = (np.asarray(each, np.float64) for each in pair.convolution.get_weights())
    # A depthwise kernel ends in (channels, multiplier), which together are the norm's channels.
    depthwise = isinstance(pair.convolution, keras.layers.DepthwiseConv2D)
    of_kernel = scale.reshape(kernel.shape[-2:]) if depthwise else scale
    return [kernel * of_kernel, offset + ((bias[0] if bias else 0.0) - mean) * scale]


def _set_offset(norm: keras.layers.BatchNormalization, offset: np.ndarray) -> None:
    norm.moving_mean.assign(np.zeros_like(offset) if norm.center else -offset)
    norm.moving_variance.assign(np.full_like(offset, 1 - norm.epsilon))
    if norm.scale:
        norm.gamma.assign(np.ones_like(offset))
    if norm.center:
        norm.beta.assign(offset)


def _weighted(network: keras.Model) -> list[keras.layers.Layer]:
    return [layer for layer in network.layers if layer.weights]
