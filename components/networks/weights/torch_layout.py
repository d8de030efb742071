"""PyTorch's layout of weights, given to the Keras layers of the same role."""

from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np
from keras import layers

from components.errors import WeightsError
from components.networks.weights.torch_checkpoint import read_torch_checkpoint

State = Mapping[str, np.ndarray]


def keras_arrays(layer: layers.Layer, module: str, state: State) -> list[np.ndarray]:
    """What `layer.set_weights` takes, from the tensors of a PyTorch module of the same kind.

    Raises:
        KeyError: the module, or a tensor of it, is missing.
    """
    if isinstance(layer, layers.BatchNormalization):
        return [state[f"{module}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
    weight = state[f"{module}.weight"]
    match layer:
        case layers.DepthwiseConv2D():
            weight = weight.transpose(2, 3, 0, 1)  # [channels, 1, h, w] becomes [h, w, channels, 1]
        case layers.Conv2D():
            weight = weight.transpose(2, 3, 1, 0)  # [out, in, h, w] becomes [h, w, in, out]
        case layers.Dense():
            weight = weight.T
    return [weight, state[f"{module}.bias"]] if len(layer.weights) > 1 else [weight]


def load_torch_layout(
    network: keras.Model, path: Path, module_of: Callable[[str], str | None], name: str, remedy: str,
    arrays_of: Callable[[layers.Layer, str, State], list[np.ndarray]] = keras_arrays,
) -> None:  # fmt: skip
    """Copies a state dict that `torch.save` wrote into a network; layers that have no counterpart stay as they are.

    `module_of` gives the PyTorch module with a layer's weights by their names, None for a layer without; `arrays_of`
    what `layer.set_weights` takes, from layer, module and state dict.

    Raises:
        WeightsError: the file is not a checkpoint, or not one of this network. It calls that `name`, and ends with the
            remedy.
    """
    state = read_torch_checkpoint(path)
    for layer in network.layers:
        module = module_of(layer.name)
        if module is None:
            continue
        try:
            layer.set_weights(arrays_of(layer, module, state))
        except (KeyError, ValueError) as error:
            raise WeightsError(
                f"{path}: not the weights of {name}, {module} (layer {layer.name}) is missing or of another shape. "
                f"{remedy}"
            ) from error
