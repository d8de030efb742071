"""The graph as it is wired, named and keyed: who sees which split, what is published, and what is made anew."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.experiment import read_experiment, unread_experiment
from pipeline.paths import Paths
from pipeline.recipe import Recipe, load_recipe
from pipeline.synthetic import write_catalogue

SEARCH = "tune={trials: 2, space: {model.dropout: {values: [0.1, 0.2]}}}"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """The nodes of a recipe with a search, by their names."""
    from pipeline.graph import create_pipeline

    recipe = load_recipe("six_class", [SEARCH, "serving.decode_bytes=50000000", "picture.max_pixels=2000000"])
    paths = Paths(Path("nowhere"), tmp_path_factory.mktemp("graph"))
    return {node.id: node for node in create_pipeline(unread_experiment(recipe, paths)).components}


def source(nodes: Mapping[str, Any], node: str, name: str) -> tuple[str, str]:
    """The node whose output a node takes, and the name of that output."""
    channel = nodes[node].inputs[name]
    return channel.producer_component_id, channel.output_key


def parameter(nodes: Mapping[str, Any], node: str, name: str) -> Any:
    return json.loads(nodes[node].exec_properties[name])


def test_the_gate_judges_the_test_split_alone(nodes: Mapping[str, Any]) -> None:
    assert parameter(nodes, "evaluate", "example_splits") == ["test"]


@pytest.mark.parametrize("node", ["train", "tune"])
def test_weights_are_fitted_on_train_and_chosen_by_eval(nodes: Mapping[str, Any], node: str) -> None:
    assert parameter(nodes, node, "train_args") == {"splits": ["train", "outside_train"]}
    assert parameter(nodes, node, "eval_args") == {"splits": ["eval", "outside_eval"]}


def test_classes_are_balanced_by_what_is_counted_on_train(nodes: Mapping[str, Any]) -> None:
    splits = ["train", "eval", "outside_train", "outside_eval"]
    assert parameter(nodes, "transform", "splits_config") == {"analyze": ["train"], "transform": splits}


def test_what_is_published_is_the_model_that_was_judged_against_the_baseline_and_tried(
    nodes: Mapping[str, Any],
) -> None:
    trained = ("train", "model")
    assert {source(nodes, node, "model") for node in ("evaluate", "outside", "infra", "publish")} == {trained}
    assert source(nodes, "evaluate", "baseline_model") == ("baseline", "model")
    assert source(nodes, "outside", "evaluated") == ("evaluate", "blessing")
    assert source(nodes, "infra", "model_blessing") == ("outside", "blessing")
    assert source(nodes, "publish", "blessing") == ("outside", "blessing")
    assert source(nodes, "publish", "infra_blessing") == ("infra", "blessing")


def test_data_that_the_gate_refuses_are_not_transformed(nodes: Mapping[str, Any]) -> None:
    assert "gate" in {node.id for node in nodes["transform"].upstream_nodes}
    assert source(nodes, "gate", "quarantine") == ("ingest", "quarantine")


def test_the_accuracy_of_the_recipe_is_asked_of_the_server_too(nodes: Mapping[str, Any]) -> None:
    gate = load_recipe("six_class").gate
    assert nodes["infra"].exec_properties["accuracy"] == gate.accuracy > 0
    assert parameter(nodes, "publish", "gate") == gate.model_dump()


def test_an_index_and_copies_are_made_after_publishing_where_the_recipe_says_so(tmp_path):
    from pipeline.graph import create_pipeline
    from pipeline.stages import stages_of

    recipe = load_recipe("six_class", ["index.colour=0.3", "export={formats: [onnx, litert-int8]}"])
    paths = Paths(Path("nowhere"), tmp_path)
    nodes = {node.id: node for node in create_pipeline(unread_experiment(recipe, paths)).components}
    assert {*tuple(nodes)[-2:]} == {*stages_of(recipe)[-2:]} == {"index", "export"}
    assert source(nodes, "index", "pushed_model") == ("publish", "pushed_model")
    assert parameter(nodes, "index", "settings")["colour"] == 0.3
    assert source(nodes, "export", "pushed_model") == ("publish", "pushed_model")
    assert source(nodes, "export", "examples") == ("ingest", "examples")
    assert parameter(nodes, "export", "settings")["formats"] == ["onnx", "litert-int8"]
    assert not {"index", "export"} & {*stages_of(load_recipe("six_class"))}


def test_the_model_is_given_the_limits_of_the_recipe(nodes: Mapping[str, Any]) -> None:
    config = json.loads(parameter(nodes, "train", "custom_config")["config"])
    assert config["decode_bytes"] == 50_000_000
    assert config["picture"]["max_pixels"] == 2_000_000


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
    "split.train=60": {"ingest"},
    "picture.size=96": {"ingest", "train"},
    "validation.quarantine=0.2": {"gate"},
    "balance.cap=700": {"transform"},
    "train.seed=2": {"train"},
    "outside.most=100": {"ingest"},
    "outside.kind=usage": {"ingest", "transform"},
    "outside=none": {"ingest", "transform", "train"},
    "model.dropout=0.1": {"train"},
    "model.text=productDisplayName": {"transform", "train", "outside"},
    "labels.columns={gender: {}}": {"gate", "outside"},  # and what the catalogue is read for, which is not here
    "gate.recall=0.5": {"evaluate", "outside"},
    "gate.accuracy=0.5": {"evaluate", "infra", "outside"},
    "decide.coverage=0.9": {"outside", "train"},
    "serving.examples=8": {"infra"},
    "publish.keep=3": {"publish"},
    "drift.labels=0.1": set(),
    "kubeflow.default.cpu=4": set(),
}


def test_a_setting_is_in_the_keys_of_the_stages_that_take_it_and_of_no_other(tmp_path: Path) -> None:
    from pipeline.graph import create_pipeline

    def keys(*overrides: str) -> dict[str, Any]:
        experiment = unread_experiment(load_recipe("quickstart", overrides), Paths(Path("nowhere"), tmp_path))
        return {node.id: dict(node.exec_properties) for node in create_pipeline(experiment).components}

    before = keys()
    for override, stages in CHANGES.items():
        after = keys(override)
        # The publisher is told the whole recipe, and is never taken from the cache.
        changed = {name for name in before if before[name] != after[name]} - {"publish"}
        assert changed == stages - {"publish"}, override
