"""A model that was trained and published here, as the start of another: `model.weights` names its version's folder.

Its trunk has seen shop pictures already, of the same classes or of others: in-domain pretraining.
"""

import yaml

from components.errors import WeightsError
from components.networks.profiles import weights_path
from components.networks.settings import Model

RECIPE, MEMBERS = "assets.extra/recipe.yaml", "assets.extra/members.parquet"


def check_earlier(model: Model) -> None:
    """Refuses a start that cannot be taken; what a file holds is not looked at.

    Light on purpose: nothing here needs TensorFlow, so that it is said before anything is run. Whether it was trained
    on what will be tested on, the data gate sees from its members when this run's are known.

    Raises:
        WeightsError: there are no such weights, or the folder is not a published model, or of another network, or does
            not tell whom it was trained on.
    """
    folder = weights_path(model.backbone, model.weights)
    if folder is None or not folder.is_dir():
        return
    try:
        recipe = yaml.safe_load((folder / RECIPE).read_text(encoding="utf-8"))
        theirs = Model.model_validate(recipe["model"] | {"weights": "none"})
    except (OSError, ValueError, TypeError, LookupError, yaml.YAMLError) as error:
        raise WeightsError(
            f"model.weights: {folder} is not a published model ({error}). Name the folder of a version, "
            "e.g. runs/serving/article_type/1795266666"
        ) from error
    if theirs.backbone != model.backbone or theirs.front != "none":
        network = theirs.backbone + (f" behind {theirs.front}" if theirs.front != "none" else "")
        raise WeightsError(f"model.weights: {folder} is {network}, and model.backbone is {model.backbone}; "
                           "give another model, or its backbone without a front")  # fmt: skip
    if not (folder / MEMBERS).is_file():
        raise WeightsError(
            f"model.weights: {folder} does not tell which products it was trained on (no {MEMBERS}), so nobody can see "
            "whether it knows what is tested on. Train and publish it again, or start from other weights"
        )
