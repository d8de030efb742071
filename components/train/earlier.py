"""A model that was trained and published here, as the start of another: `model.weights` names its version's folder.

Its trunk has seen shop pictures already, be it of the same classes last night or of others: in-domain pretraining.
"""

import yaml

from components.errors import RecipeError, WeightsError
from components.networks.profiles import weights_path
from components.settings import Model, Split

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


def _in_words(split: Split) -> str:
    shares = "/".join(str(weight) for weight in split.shares().values())
    return f"by {split.by}, {shares}"
