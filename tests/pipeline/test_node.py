"""Nodes as processes of their own; whole runs made of them are in e2e/test_nodes.py."""

import re
from pathlib import Path

import pytest

from components.errors import CatalogueError, FashionError, MetadataError, RecipeError
from components.validate.settings import find_schema
from pipeline.kubeflow.packing import pack, unpack
from pipeline.node import run_node
from pipeline.paths import Paths
from pipeline.recipe import load_recipe, recipe_names
from tests.pipeline.nodes import Ended, House


@pytest.mark.parametrize(
    ("node", "run_id", "database", "error", "said"),
    [
        ("trian", "a", None, RecipeError, "--node trian: there is no such stage; did you mean 'train'? known: ingest,"),
        ("train", "../a", None, RecipeError, "--run-id '../a': give letters, digits, dots, dashes and underscores"),
        ("train", "a", "shop.db", MetadataError, "'shop.db' is not a known kind of database"),
        ("train", "a", "sqlite:////none/x", MetadataError, "sqlite:////none/x: there is no folder /none"),
    ],
)
def test_a_mistake_is_refused_before_tfx_is_loaded(tmp_path: Path, node, run_id, database, error, said) -> None:
    with pytest.raises(error) as refused:
        run_node(load_recipe("six_class"), Paths(tmp_path / "shop", tmp_path / "runs", database), node, run_id)
    assert said in str(refused.value)
    assert not (tmp_path / "runs" / "logs").exists()


@pytest.mark.parametrize(
    ("error", "retries", "worked"),
    [
        (CatalogueError, 2, [True, False, False, True, False]),
        (RecipeError, 1, [True, False, True, False, True]),
        (CatalogueError, 0, [True] * 5),
        (MetadataError, 2, [True] * 5),
        (OSError, 2, [True] * 5),
    ],
)
def test_an_error_that_a_person_has_to_fix_is_said_again_without_work_for_as_long_as_the_cluster_tries_again(
    tmp_path: Path, monkeypatch, error, retries, worked
) -> None:
    """The last try of the cluster forgets the error, and a retry by hand does the work again."""
    tries: list[str] = []

    def work(*arguments) -> None:
        tries.append("tried")
        raise error("styles.csv: cannot be read")

    monkeypatch.setattr("pipeline.node.experiment_of", work)
    for does_work in worked:
        before = len(tries)
        with pytest.raises((FashionError, OSError), match=r"styles\.csv: cannot be read") as raised:
            run_node(load_recipe("six_class"), Paths(tmp_path / "shop", tmp_path / "runs"), "ingest", "a", retries)
        assert len(tries) - before == does_work
        assert getattr(raised.value, "exit_code", None) == getattr(error, "exit_code", None)
        with pytest.raises((FashionError, OSError)):  # no other run, node or command by hand is concerned
            run_node(load_recipe("six_class"), Paths(tmp_path / "shop", tmp_path / "runs"), "ingest", "a")
        assert len(tries) - before == does_work + 1


def test_a_recipe_and_its_taxonomy_come_out_of_a_package_as_they_went_in(tmp_path: Path) -> None:
    from components.transform.taxonomy import load_taxonomy

    taxonomy = tmp_path / "mine.yaml"
    taxonomy.write_text(
        "classes: [a b, c]\nrules:\n  - {class: a b, articleType: [x]}\n  - {class: c, articleType: [ü]}\n"
    )
    recipe = load_recipe("six_class", [f"labels.taxonomy={taxonomy}", "kubeflow.nodes.train.cpu=4"])
    text = pack(recipe)
    assert "\n" not in text
    assert str(tmp_path) not in text
    first, second = (unpack(text, tmp_path / "kept") for _ in range(2))
    assert first == second
    assert first.model_dump(exclude={"labels"}) == recipe.model_dump(exclude={"labels"})
    assert load_taxonomy(first.labels.taxonomy) == load_taxonomy(str(taxonomy))


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        *((name, []) for name in recipe_names()),
        ("six_class", ["train.finetune=null"]),
        ("six_class", ["train.head=null"]),
    ],
)
def test_recipe_comes_out_of_a_package_as_it_went_in_nulls_too(tmp_path: Path, name: str, overrides: list[str]) -> None:
    recipe = load_recipe(name, overrides)
    unpacked = unpack(pack(recipe), tmp_path)
    assert unpacked.model_dump(exclude={"labels": {"taxonomy"}}) == recipe.model_dump(exclude={"labels": {"taxonomy"}})


def test_a_schema_of_ones_own_travels_in_the_package(tmp_path: Path) -> None:
    schema = tmp_path / "mine.pbtxt"
    schema.write_text('feature {\n  name: "ü"\n}\n')
    recipe = load_recipe("six_class", [f"validation.schema_file={schema}"])
    text = pack(recipe)
    assert "\n" not in text
    schema.unlink()
    kept = find_schema(unpack(text, tmp_path / "kept").validation.schema_file)
    assert kept.is_relative_to(tmp_path / "kept")
    assert kept.read_text() == 'feature {\n  name: "ü"\n}\n'
    with pytest.raises(RecipeError, match=r"mine\.pbtxt: there is no such file"):
        pack(recipe)


@pytest.mark.parametrize("text", ["{", "{}", '{"recipe": 1}', '{"recipe": {"name": "x", "labls": {}}}', "[]"])
def test_what_no_package_holds_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(RecipeError):
        unpack(text, tmp_path)


@pytest.mark.slow
def test_two_runs_at_once_both_do_their_first_stages(house: House, beginnings: dict[tuple[str, str], Ended]) -> None:
    for (node, run), result in beginnings.items():
        assert (result.code, result.err) == (0, ""), (node, run, result)
        assert re.search(rf"^  {node} .*\d s$", result.out, re.MULTILINE)
        assert f"logs/{run}/{node}.log" in result.out


@pytest.mark.slow
def test_of_two_runs_that_do_the_same_at_once_one_waits_for_the_other(beginnings) -> None:
    said = [beginnings["ingest", run].out for run in ("tuesday", "wednesday")]
    assert sorted(" · cached  " in each for each in said) == [False, True]
