"""Recipes: what is read, what is refused, and how it is said."""

import pytest

from components.errors import RecipeError
from components.ingest.settings import Layout
from pipeline.recipe import load_recipe, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_is_valid(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name


def test_a_recipe_written_out_reads_back_the_same(tmp_path) -> None:
    recipe = load_recipe("six_class")
    file = tmp_path / "copy.yaml"
    file.write_text(recipe.as_yaml())
    assert load_recipe(str(file)) == recipe


def test_overrides_change_one_value_and_keep_the_rest() -> None:
    recipe = load_recipe("six_class", ["train.head.epochs=5", "model.weights=none", "train.finetune=null"])
    assert (recipe.train.head.epochs, recipe.model.weights, recipe.train.finetune) == (5, "none", None)
    assert recipe.train.head.views == load_recipe("six_class").train.head.views


def test_numbers_may_be_written_with_an_exponent() -> None:
    assert load_recipe("six_class", ["train.head.learning_rate=1e-3"]).train.head.learning_rate == 1e-3


def test_a_recipe_cannot_be_changed_once_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_recipe("six_class").name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("balance.capp=3", "six_class.yaml: balance.capp: unknown key; did you mean 'cap'?"),
        ("trian.head.epochs=3", "six_class.yaml: trian: unknown key; did you mean 'train'?"),
        ("train.finetune.zzz=3", "six_class.yaml: train.finetune.zzz: unknown key; known: epochs,"),
        ("train.head.epochs=many", "six_class.yaml: train.head.epochs: 'many' should be a valid integer"),
        ("picture.size=3.5", "six_class.yaml: picture.size: 3.5 should be a valid integer"),
        ("gate.recall=95", "six_class.yaml: gate.recall: 95 should be less than or equal to 1"),
        ("model.backbone=resnet", "model.backbone: 'resnet' should be"),
        ("picture.size=400", "stored_side 300 is below size 400"),
        ("balance.oversample=1900", "oversample 1900 is above cap 1000"),
        ("outside.kinds=usage", "six_class.yaml: outside.kinds: unknown key; did you mean 'kind'?"),
        ("labels=null", "six_class.yaml: labels: "),
        ("name=../up", "six_class.yaml: name: '../up' "),
        ("train.head.epochs", "--set train.head.epochs: give it as key=value"),
        ("=3", "--set =3: give it as key=value"),
        ("model.backbone.size=3", "model.backbone.size=3: backbone is a text, it has no keys below it"),
        ("train.seed=-1", "train.seed: -1 should be greater than or equal to 0"),
        ("train.seed=4294967296", "train.seed: 4294967296 should be less than 4294967296"),
        ("model.weights=[", "--set model.weights, line 1: not valid YAML"),
    ],
)
def test_a_wrong_override_is_refused_by_name(override: str, said: str) -> None:
    with pytest.raises(RecipeError) as refusal:
        load_recipe("six_class", [override])
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("labels: {taxonomy: six_class}\nlabels: {taxonomy: other}", "key 'labels' is given twice"),
        ("- a\n- b", "a recipe is a mapping of keys to values, this is a list"),
        ("", "a recipe is a mapping of keys to values, this is empty"),
        ("split: {train: 8}", "labels: is needed and not given"),
        ("labels: {taxonomy: [", "not valid YAML"),
        ("labels: {taxonomy: six_class}\nsplit: {train: 0}\ngate: {recal: 1}", "split.train: 0 should be greater"),
        ("\xff\xfe", "cannot be read: 'utf-8' codec"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path, text: str, said: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(RecipeError) as refusal:
        load_recipe(str(file))
    assert said in str(refusal.value)
    assert "mine.yaml" in str(refusal.value)


def test_all_mistakes_are_said_at_once() -> None:
    with pytest.raises(RecipeError) as refusal:
        load_recipe("six_class", ["balance.capp=3", "gate.recall=2"])
    assert len(str(refusal.value).splitlines()) == 2


def test_a_recipe_finds_the_files_beside_it_and_records_the_layout_inline(tmp_path, monkeypatch) -> None:
    folder, elsewhere = tmp_path / "shop", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (folder / "catalogue.yaml").write_text("separator: ;\ncolumns: {id: sku}\n")
    (folder / "classes.yaml").write_text("classes: [A, B]\n")
    (folder / "schema.pbtxt").write_text("")
    text = "catalogue: catalogue.yaml\nlabels: {taxonomy: classes.yaml}\nvalidation: {schema_file: schema.pbtxt}\n"
    (folder / "recipe.yaml").write_text(text)
    monkeypatch.chdir(elsewhere)
    recipe = load_recipe(str(folder / "recipe.yaml"), ["catalogue.table=products.csv"])
    assert recipe.catalogue == Layout(table="products.csv", separator=";", columns={"id": "sku"})
    assert recipe.labels.taxonomy == str(folder / "classes.yaml")
    assert recipe.validation.schema_file == str(folder / "schema.pbtxt")
    (elsewhere / "recorded.yaml").write_text(recipe.as_yaml())
    assert load_recipe("recorded.yaml") == recipe


def test_files_of_a_recipe_may_lie_in_the_working_directory(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "layout.yaml").write_text("columns: {id: sku}\n")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "recipe.yaml").write_text("catalogue: layout.yaml\nlabels: {column: gender}\n")
    assert load_recipe("mine/recipe.yaml").catalogue.columns == {"id": "sku"}
    assert load_recipe("six_class", ["catalogue=layout.yaml"]).catalogue.columns == {"id": "sku"}


@pytest.mark.parametrize(
    ("layout", "said"),
    [
        ("separatr: ;", "layout.yaml: separatr: unknown key; did you mean 'separator'?"),
        ("separator: ';;'", "layout.yaml: separator: ';;' is not one character"),
        ("encoding: utf-81", "layout.yaml: encoding: Python knows none called 'utf-81'"),
        ("columns: {sku: id}", "layout.yaml: columns: there is no column 'sku' to fill; known: id, gender"),
        ("picture: 'images/{sku}.jpg'", "layout.yaml: picture: 'images/{sku}.jpg' needs {id}"),
        ("- a", "layout.yaml: a catalogue's layout is a mapping of keys to values, this is a list"),
    ],
)
def test_a_wrong_layout_is_refused_by_name(tmp_path, layout: str, said: str) -> None:
    (tmp_path / "layout.yaml").write_text(layout)
    with pytest.raises(RecipeError) as refusal:
        load_recipe("six_class", [f"catalogue={tmp_path / 'layout.yaml'}"])
    assert said in str(refusal.value)


def test_an_unknown_recipe_names_the_known_ones() -> None:
    with pytest.raises(RecipeError, match=r"did you mean 'six_class'\? known: article_type, .*, six_class"):
        load_recipe("six_clas")


def test_the_word_none_leaves_foreign_pictures_out_and_no_gate_may_ask_for_them() -> None:
    assert load_recipe("quickstart", ["outside=none"]) == load_recipe("quickstart", ["outside=null"])
    with pytest.raises(RecipeError, match=r"gate.unseen_outsiders: this recipe reads no product that is of no class"):
        load_recipe("quickstart", ["outside=none", "gate.unseen_outsiders=0.05"])
    assert load_recipe("quickstart", ["gate.unseen_outsiders=0.05"]).gate.unseen_outsiders == 0.05


@pytest.mark.parametrize("setting", ["train.finetune.unfreeze_from=stem", "model.front=edgenet"])
def test_views_for_fine_tuning_need_a_part_that_stays_frozen(setting: str) -> None:
    assert load_recipe("six_class", ["train.finetune.views=2"]).train.finetune.views == 2
    with pytest.raises(RecipeError, match=r"train\.finetune\.views: the network is trained from its first layer"):
        load_recipe("six_class", ["train.finetune.views=2", setting])
