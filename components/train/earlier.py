"""A model that was trained and published here, as the start of another: `model.weights` names its version's folder.

Its trunk has seen shop pictures already, be it of the same classes last night or of others: in-domain pretraining.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from components.errors import RecipeError, WeightsError
from components.settings import Model, Split
from components.train.networks import weights_path

if TYPE_CHECKING:
    import keras

RECIPE = "assets.extra/recipe.yaml"


def check_earlier(model: Model, split: Split) -> None:
    """Refuses a start that would spoil the evaluation, or cannot be taken; what a file holds is not looked at.

    Light on purpose: nothing here needs TensorFlow, so that it is said before anything is trained.

    Raises:
        RecipeError: its products were divided otherwise, so it may have been trained on pictures that this split
            tests on.
        WeightsError: there are no such weights, or the folder is no published model, or of another network.
    """
    folder = weights_path(model.backbone, model.weights)
    if folder is None or not folder.is_dir():
        return
    try:
        recipe = yaml.safe_load((folder / RECIPE).read_text(encoding="utf-8"))
        theirs = Model.model_validate(recipe["model"] | {"weights": "none"})
        their_split = Split.model_validate(recipe["split"])
    except (OSError, ValueError, TypeError, LookupError, yaml.YAMLError) as error:
        raise WeightsError(
            f"model.weights: {folder} is no published model ({error}). Name the folder of a version, "
            "e.g. runs/serving/article_type/1795266666"
        ) from error
    if theirs.backbone != model.backbone or theirs.front != "none":
        network = theirs.backbone + (f" behind {theirs.front}" if theirs.front != "none" else "")
        raise WeightsError(f"model.weights: {folder} is {network}, and model.backbone is {model.backbone}; "
                           "give another model, or its backbone without a front")  # fmt: skip
    if their_split != split:
        raise RecipeError(
            f"model.weights: {folder} was trained on another split ({_in_words(their_split)}) than this recipe's "
            f"({_in_words(split)}): it may have seen what is tested on. Give both the same split"
        )


def load_earlier(trunk: "keras.Model", folder: Path) -> None:
    """Loads the trunk of a published model into a trunk of the same network, whatever its classes are.

    It was published with its batch norms folded: here they begin anew, as scales of one.

    Raises:
        WeightsError: the model cannot be read, or is of another network.
    """
    import tensorflow as tf

    from components.train.folding import fold_batch_norms, unfold_batch_norms

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


def _in_words(split: Split) -> str:
    shares = "/".join(str(weight) for weight in split.shares().values())
    return f"by {split.by}, {shares}"
