"""What an experiment names is read once; what is told of a run stays what it was when the run began."""

import shutil
from pathlib import Path

import pytest

from components.errors import CatalogueError, RecipeError
from pipeline.experiment import check_experiment, read_experiment, unread_experiment
from pipeline.paths import Paths
from pipeline.recipe import load_recipe
from pipeline.synthetic import write_catalogue


def test_a_catalogue_replaced_during_a_run_changes_nothing_that_later_processes_read(tmp_path: Path) -> None:
    recipe = load_recipe("six_class", ["labels={column: articleType, minimum: 3}"])
    paths = Paths(tmp_path / "shop", tmp_path)
    write_catalogue(paths.data, 60, seed=1)
    first = read_experiment(recipe, paths)
    shutil.rmtree(paths.data)
    write_catalogue(paths.data, 30, seed=2)
    assert read_experiment(recipe, paths, first.record()) == first
    anew = read_experiment(recipe, paths)
    assert (anew.catalogue == first.catalogue, anew.taxonomy == first.taxonomy) == (False, False)


def test_a_folder_that_is_called_like_a_start_is_not_taken_for_weights(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "imagenet").mkdir()
    (tmp_path / "imagenet" / "large").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    write_catalogue(tmp_path / "shop", 20, seed=1)
    assert read_experiment(load_recipe("six_class"), Paths(tmp_path / "shop", tmp_path)).weights == ""


def test_a_package_is_made_where_its_catalogue_and_weights_are_not(tmp_path: Path) -> None:
    recipe = load_recipe("six_class", ["labels={column: articleType}", "model.weights=/in/the/container"])
    assert unread_experiment(recipe, Paths(tmp_path / "nowhere", tmp_path)).catalogue == ""


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("validation.schema_file=none", "validation.schema_file 'none': there is none"),
        ("labels.taxonomy=none", "none"),
        ("model.weights=/no/such.h5", "neither a file"),
    ],
)
def test_what_is_wrong_without_the_catalogue_is_said_before_it_is_read(override: str, said: str) -> None:
    from components.errors import FashionError

    with pytest.raises(FashionError, match=said):
        check_experiment(load_recipe("six_class", [override]))


def test_a_catalogue_that_cannot_be_read_is_refused_at_the_door(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="there is no such file or folder"):
        read_experiment(load_recipe("six_class"), Paths(tmp_path / "shop", tmp_path))
    write_catalogue(tmp_path / "shop", 20, seed=1)
    with pytest.raises(RecipeError, match=r"split\.by: given"):
        read_experiment(load_recipe("six_class", ["split.by=given"]), Paths(tmp_path / "shop", tmp_path))


def test_a_table_without_the_columns_of_a_recipe_is_refused_at_the_door(tmp_path: Path) -> None:
    write_catalogue(tmp_path / "shop", 20, seed=1)
    table = tmp_path / "shop" / "styles.csv"
    table.write_text(table.read_text().replace("subCategory", "shelf", 1))
    with pytest.raises(CatalogueError, match=r"subCategory.*fashion inspect"):
        read_experiment(load_recipe("six_class"), Paths(tmp_path / "shop", tmp_path))
    recipe = load_recipe("six_class", ["labels={column: articleType}", "split.together=[shelf_mark]"])
    with pytest.raises(CatalogueError, match="shelf_mark"):
        read_experiment(recipe, Paths(tmp_path / "shop", tmp_path))
