"""The experiment: one YAML file, read once at the edge into frozen, validated models.

Light on purpose: nothing here imports TensorFlow or TFX, so a wrong recipe is refused in a blink.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import Field, StringConstraints, model_validator

from components.errors import RecipeError
from components.evaluate.settings import Gate
from components.export.settings import Export
from components.index.settings import Index
from components.infra.settings import Serving
from components.ingest.settings import Labels, Layout, Picture, Split, load_layout
from components.networks.profiles import PROFILES, check_size, read_unfreeze
from components.networks.settings import Model
from components.outside.settings import Decide, OptionalOutside
from components.publish.settings import Publish
from components.reading import YAML, find_file, kind_of, parse_yaml, read_mapping, validated
from components.settings import Settings
from components.train.settings import Train
from components.transform.settings import Balance
from components.tune.space import Tune, check_space
from components.validate.settings import Validation
from pipeline.beam import Beam
from pipeline.kubeflow.settings import Kubeflow
from pipeline.retrain.settings import Drift

S = TypeVar("S", bound=Settings)

RECIPES = Path(__file__).parent / "recipes"


class Recipe(Settings):
    """Everything that changes a result. `name` is also the name the model is served under."""

    name: Annotated[
        str,
        StringConstraints(pattern=r"^[a-z][a-z0-9_]*$"),
        Field(description="the model is served under it; by default the file's own"),
    ]
    catalogue: Layout = Layout()
    labels: Labels
    split: Split = Split()
    picture: Picture = Picture()
    validation: Validation = Validation()
    balance: Balance = Balance()
    model: Model = Model()
    train: Train = Train()
    tune: Tune | None = None
    outside: OptionalOutside = None
    decide: Decide = Decide()
    gate: Gate = Gate()
    serving: Serving = Serving()
    publish: Publish = Publish()
    index: Index | None = None
    export: Export | None = None
    drift: Drift = Drift()
    beam: Beam = Beam()
    kubeflow: Kubeflow = Kubeflow()

    @model_validator(mode="after")
    def _network_takes_it(self) -> "Recipe":
        check_size(self.model.backbone, self.picture.size)
        if self.train.finetune:
            where = read_unfreeze(self.model.backbone, self.train.finetune.unfreeze_from)
            all_of_it = where == PROFILES[self.model.backbone].parts or self.model.front != "none"
            if self.train.finetune.views and all_of_it:
                raise ValueError(
                    "train.finetune.views: the network is trained from its first layer, so no part of it could be run "
                    "once for all epochs; unfreeze from a later part without a front, or leave views out"
                )
        return self

    @model_validator(mode="after")
    def _can_be_tuned(self) -> "Recipe":
        if self.tune:
            check_space(self.model_copy(update={"tune": None}), self.tune)
        return self

    @model_validator(mode="after")
    def _has_outsiders_to_judge_by(self) -> "Recipe":
        for key in ("outsiders", "unseen_outsiders"):
            if self.outside is None and getattr(self.gate, key) is not None:
                raise ValueError(
                    f"gate.{key}: this recipe reads no product that is of no class; give outside as well, or "
                    "set the gate to null"
                )
        return self

    def with_image(self, image: str) -> "Recipe":
        """The same, with the project's image for Beam workers that are containers of one."""
        return self.model_copy(update={"beam": self.beam.with_image(image)})

    def as_yaml(self) -> str:
        """The recipe with every default written out."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def recipe_names() -> list[str]:
    """Names of the recipes that come with the project."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def load_recipe(name: str, overrides: Iterable[str] = ()) -> Recipe:
    """Reads a recipe and applies overrides to it.

    Args:
        name: a recipe of this project, or the path of a YAML file. Files that it names are looked for in its own
            folder, then in the working directory, where those of overrides are.
        overrides: `key=value` texts, e.g. `train.head.epochs=5`; values are YAML.

    Raises:
        RecipeError: naming the file, the key and the rule, for all mistakes at once.
    """
    path = find_file(name, RECIPES, "recipe", *YAML)
    content = read_mapping(path, "recipe")
    content.setdefault("name", path.stem)
    _place(content, path.parent)
    for override in overrides:
        _apply(content, override)
    _place(content, Path())
    return validated(Recipe, content, path.name)


def overridden(settings: S, overrides: Iterable[str]) -> S:
    """Returns settings with overrides applied, `key=value` texts.

    Raises:
        RecipeError: naming the key and the rule.
    """
    content = settings.model_dump(mode="json")
    for override in overrides:
        _apply(content, override)
    return validated(type(settings), content, "--set")


def _place(content: dict[str, Any], folder: Path) -> None:
    """Puts the layout that `catalogue` names in its place, and full paths to the other files that are in a folder."""
    for key, inner in (("labels", "taxonomy"), ("labels", "corrections"), ("validation", "schema_file")):
        part = content.get(key)
        name = str(part.get(inner)) if isinstance(part, dict) else ""
        if isinstance(part, dict) and Path(name).suffix and (folder / name).is_file():
            part[inner] = str((folder / name).absolute())
    layout = content.get("catalogue")
    if isinstance(layout, str):
        beside = folder / layout
        content["catalogue"] = load_layout(beside if beside.is_file() else Path(layout)).model_dump(mode="json")


def _apply(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not all(key.split(".")):
        raise RecipeError(f"--set {override}: give it as key=value, e.g. --set train.head.epochs=5")
    *parents, last = key.split(".")
    for parent in parents:
        below = content.get(parent)
        if below is None:
            below = content[parent] = {}
        if not isinstance(below, dict):
            raise RecipeError(f"--set {override}: {parent} is {kind_of(below)}, it has no keys below it")
        content = below
    content[last] = parse_yaml(text, f"--set {key}")
