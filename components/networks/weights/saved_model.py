"""The weights of a published model of this project, as the start of another network."""

from pathlib import Path

import keras
import tensorflow as tf

from components.errors import WeightsError
from components.networks.folding import fold_batch_norms, unfold_batch_norms


def load_trunk(trunk: keras.Model, folder: Path) -> None:
    """Loads the trunk of a published model into a trunk of the same network, whatever its classes are.

    It was published with its batch norms folded: here they begin anew, as scales of one.

    Raises:
        WeightsError: the model cannot be read, or is of another network.
    """
    try:
        reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
        # As `serving.signatures.Classifier` keeps them: in the network's order, the trunk before the head.
        key = "_variables/{}/.ATTRIBUTES/VARIABLE_VALUE"
        held = sum(name.startswith("_variables/") for name in reader.get_variable_to_shape_map())
        values = [reader.get_tensor(key.format(index)) for index in range(held)]
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0]
        raise WeightsError(f"{folder}: not readable as a published model ({reason})") from error
    folded = fold_batch_norms(trunk)
    variables = folded.variables
    # A softmax layer, and what random layers of the head keep, follow.
    if len(values) < len(variables) + 2 or any(
        tuple(variable.shape) != value.shape for variable, value in zip(variables, values, strict=False)
    ):
        raise WeightsError(f"{folder}: not the weights of {trunk.name} for pictures of {trunk.input_shape[1]} px")
    for variable, value in zip(variables, values, strict=False):
        variable.assign(value)
    unfold_batch_norms(trunk, folded)
