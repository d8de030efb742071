"""The graph as it is named and keyed: what shares its cache and its baselines, and what is made anew."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.experiment import read_experiment, unread_experiment
from pipeline.paths import Paths
from pipeline.recipe import Recipe, load_recipe
from pipeline.synthetic import write_catalogue


@pytest.mark.slow
def test_models_are_compared_where_classes_are_the_same_and_only_there(tmp_path):
    from pipeline.graph import create_pipeline

    def name(*overrides: str) -> str:
        paths = Paths(Path("nowhere"), tmp_path)
        experiment = unread_experiment(load_recipe("six_class", [*overrides]), paths)
        return create_pipeline(experiment).pipeline_info.pipeline_name

    few = tmp_path / "few.yaml"
    few.write_text("classes: [a, b]\nrules: [{class: a, articleType: [x]}, {class: b, articleType: [y]}]\n")
    changes = (
        "train.seed=2",
        "picture.size=96",
        "gate.recall=0.5",
        "split.by=year",
        "split.train=70",
    )
    same = {name(), *map(name, changes)}
    assert len(same) == 1
    assert {each.rpartition("-")[0] for each in same} == {"six_class"}
    assert name(f"labels.taxonomy={few}") not in same


@pytest.mark.slow
def test_other_weights_under_the_same_name_are_trained_from_anew(tmp_path):
    from pipeline.graph import create_pipeline

    def key(recipe: Recipe) -> str:
        nodes = create_pipeline(read_experiment(recipe, Paths(tmp_path / "shop", tmp_path))).components
        [trainer] = [node for node in nodes if node.id == "train"]
        return trainer.exec_properties["custom_config"]

    write_catalogue(tmp_path / "shop", 20, seed=1)
    file, folder = tmp_path / "weights.pth", tmp_path / "model"
    (folder / "assets.extra").mkdir(parents=True)
    (folder / "assets.extra" / "recipe.yaml").write_text(load_recipe("quickstart").as_yaml())
    (folder / "assets.extra" / "members.parquet").touch()
    for start, content in ((file, file), (folder, folder / "variables")):
        recipe = load_recipe("quickstart", [f"model.weights={start}"])
        content.write_bytes(b"1")
        first, again = key(recipe), key(recipe)
        content.write_bytes(b"2")
        assert first == again != key(recipe)


CHANGES = {
    "split.train=70": {"ingest"},
    "picture.size=96": {"ingest", "train"},
    "validation.quarantine=0.2": {"gate"},
    "balance.cap=700": {"transform"},
    "train.seed=2": {"train"},
    "model.dropout=0.1": {"train"},
    "gate.recall=0.5": {"evaluate"},
    "gate.accuracy=0.5": {"evaluate", "infra"},
    "serving.examples=8": {"infra"},
    "publish.keep=3": {"publish"},
    "drift.labels=0.1": set(),
    "kubeflow.default.cpu=4": set(),
}


@pytest.mark.slow
def test_a_setting_is_in_the_keys_of_the_stages_that_take_it_and_of_no_other(tmp_path: Path) -> None:
    from pipeline.graph import create_pipeline

    def keys(*overrides: str) -> dict[str, Any]:
        experiment = unread_experiment(load_recipe("six_class", overrides), Paths(Path("nowhere"), tmp_path))
        return {node.id: dict(node.exec_properties) for node in create_pipeline(experiment).components}

    before = keys()
    for override, stages in CHANGES.items():
        after = keys(override)
        # The publisher is told the whole recipe, and is never taken from the cache.
        changed = {name for name in before if before[name] != after[name]} - {"publish"}
        assert changed == stages - {"publish"}, override
