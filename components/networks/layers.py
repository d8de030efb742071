"""A Keras network as a graph of layers: which reads what, and where it can be divided."""

import keras


def inputs_of(layer: keras.layers.Layer) -> list[keras.KerasTensor]:
    """What a layer of a functional network reads; nothing, if it is an input."""
    return [] if isinstance(layer, keras.layers.InputLayer) else keras.tree.flatten(layer.input)


def producer_of(tensor: keras.KerasTensor) -> str:
    """Name of the layer that a tensor comes from."""
    name: str = tensor._keras_history.operation.name
    return name


def divide(network: keras.Model) -> tuple[keras.Model, keras.Model] | None:
    """Divides a network into what training leaves alone and what it changes, as high as one tensor passes between them.

    Returns:
        Two networks with its layers, of which the second goes on from the first's output and holds all that is
        trained; None where nothing with weights would be in the first.
    """
    places = {layer.name: place for place, layer in enumerate(network.layers)}  # in the order of a picture's way
    trained: set[str] = set()
    passed: dict[str, keras.KerasTensor] = {}
    for layer in network.layers:
        read = {producer_of(tensor): tensor for tensor in inputs_of(layer)}
        if layer.trainable_weights or trained & read.keys():
            trained.add(layer.name)
            passed |= {name: tensor for name, tensor in read.items() if name not in trained}
    while len(passed) > 1:  # the highest of those layers goes to the upper part
        highest = max(passed, key=lambda name: places[name])
        del passed[highest]
        passed |= {producer_of(tensor): tensor for tensor in inputs_of(network.get_layer(highest))}
    if not passed:
        return None
    (tensor,) = passed.values()
    lower = keras.Model(network.input, tensor, name=f"{network.name}_below")
    return (lower, keras.Model(tensor, network.output, name=f"{network.name}_above")) if lower.weights else None
