"""`fashion similar` and `explain`: products of the index that answers for a model, as lines, JSON and a page."""

import base64
import io
import json
import re

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from components.index.qdrant import publish_index
from pipeline.commands.explain import explain
from pipeline.commands.models import models
from pipeline.commands.search import similar
from serving.search.index import Index
from serving.search.qdrant import Place
from tests.data.faults import draw, encode, good_rows, write_catalogue
from tests.index.small import DIGEST, fan, make
from tests.serving.serving_model import SIZE, write_model


@pytest.fixture
def root(tmp_path):
    """A published model that nobody loads, and its index of five products, whose catalogue is there."""
    extras = tmp_path / "serving" / "six" / "7" / "assets.extra"
    extras.mkdir(parents=True)
    (extras / "provenance.json").write_text(json.dumps({"digest": DIGEST}))
    ids = [str(1000 + n) for n in range(5)]
    data = write_catalogue(tmp_path / "shop", good_rows(5), {each: encode(draw(seed=int(each))) for each in ids})
    columns = {"id": ids, "gender": ["Men", "Women", "Men", "Women", None]}
    make(tmp_path / "indexes" / "six" / "9", fan(5, 0.3), data={"path": str(data), "layout": {}}, **columns)
    return tmp_path


def ask(root, *arguments):
    return CliRunner().invoke(similar, [*arguments, "--root", str(root)])


def test_products_are_listed_with_similarity_and_attributes(root):
    run = ask(root, "--id", "1000", "--k", "2", "--where", "gender = 'Women'")
    assert run.exit_code == 0, run.output
    assert [line.split()[:3] for line in run.stdout.splitlines()] == [
        ["0.955", "1001", "Women"],
        ["0.622", "1003", "Women"],
    ]


def test_json_is_what_a_server_answers(root):
    answer = json.loads(ask(root, "--id", "1000", "--k", "1", "--json").stdout)
    assert answer.pop("matches")[0] == {
        "id": "1001", "score": pytest.approx(0.955, abs=1e-3), "attributes": {"gender": "Women"}, "same": [],
    }  # fmt: skip
    assert answer == {"model_version": "1", "index_version": "9"}


def test_database_answers_as_the_files_do(root):
    place = Place.read(f"qdrant://{root}/database/shop")
    publish_index(place, Index(root / "indexes" / "six" / "9"), 5)
    question = ("--id", "1000", "--where", "gender = 'Men' or gender is null", "--json")
    run = ask(root, *question, "--index", place.url, "--html", str(root / "page.html"))
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout) == json.loads(ask(root, *question).stdout)
    assert "without pictures" not in run.stderr
    run = ask(root, *question, "--index", place.url + "s")
    assert "there is no such collection" in run.stderr


def test_page_shows_what_was_asked_about_and_found_and_loads_nothing(root):
    run = ask(root, "--id", "1000", "--k", "2", "--html", str(root / "page.html"))
    assert run.exit_code == 0, run.output
    page = (root / "page.html").read_text()
    pictures = re.findall(r'<img src="data:image/jpeg;base64,([^"]+)"', page)
    assert len(pictures) == 3
    assert len({base64.b64decode(each) for each in pictures}) == 3
    assert page.index("1000") < page.index("0.955")
    assert not re.findall(r'(?:src|href)="https?://', page)


def test_page_without_the_catalogue_says_what_it_lacks(root):
    (root / "shop" / "styles.csv").unlink()
    run = ask(root, "--id", "1000", "--html", str(root / "page.html"))
    assert "without pictures of products" in run.stderr
    assert "1001" in (root / "page.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--id", "5"], "no product with the id '5'"),
        (["--id", "1000", "--where", "gendr = 'x'"], "did you mean 'gender'"),
        (["--id", "1000", "--goes-with"], "subCategory"),
        ([], "Give pictures, or products"),
        (["nowhere.jpg"], "no such file"),
    ],
)
def test_question_without_an_answer_says_why(root, arguments, said):
    run = ask(root, *arguments)
    assert run.exit_code != 0
    assert said in run.stderr


def test_model_without_an_index_says_how_to_make_one(root):
    (root / "serving" / "six" / "7" / "assets.extra" / "provenance.json").write_text('{"digest": "other"}')
    run = ask(root, "--id", "1000")
    assert run.exit_code == 10
    assert "fashion index six --data" in run.stderr


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A model that is loaded, its index, and one of an earlier release without an index; and a picture."""
    folder = tmp_path_factory.mktemp("explained")
    for name, explains in (("six", True), ("old", False)):
        extras = write_model(folder / "serving" / name / "7", decides=True, explains=explains) / "assets.extra"
        (extras / "provenance.json").write_text(json.dumps({"digest": DIGEST if explains else "other"}))
    colours = np.array([[250, 10, 60], [250, 120, 10], [10, 250, 10], [10, 10, 250], [250, 250, 10], [200, 10, 250]])
    data = {"path": str(folder / "gone"), "layout": {}}
    make(folder / "indexes" / "six" / "9", colours, data=data, kind=[*"roglyp"])
    picture = Image.new("RGB", (40, 60), (250, 10, 10))
    picture.paste((10, 10, 250), (0, 0, 10, 60))
    picture.save(folder / "red.png")
    return folder


def why(shop, *arguments):
    given = [shop / "red.png", "--model", shop / "serving", "--model-name", *arguments]
    return CliRunner().invoke(explain, [str(each) for each in given])


@pytest.mark.slow
def test_an_explanation_names_the_answer_the_places_and_the_nearest_products(shop):
    run = why(shop, "six", "--html", shop / "why.html")
    assert run.exit_code == 0, run.output
    said, *lines = run.stdout.splitlines()
    label = re.fullmatch(r".*red\.png: (\w+), [\d.]+% · (accept|unsure|outside)", said)[1]
    assert [len(line) for line in lines[:SIZE]] == [2 + 2 + 2 * SIZE] * SIZE
    assert "█" in lines[0]
    assert lines[SIZE].split(", ")[0].strip().startswith(label)
    near = [line.split() for line in lines[SIZE + 1 :]]
    assert near[0][2] == "r"
    assert [score for score, *_ in near] == sorted((score for score, *_ in near), reverse=True)
    assert len(near) == 5
    page = (shop / "why.html").read_text()
    pictures = [base64.b64decode(each) for each in re.findall(r'<img src="data:image/jpeg;base64,([^"]+)"', page)]
    plain, heat = (np.asarray(Image.open(io.BytesIO(each)), float) for each in pictures)
    assert plain.shape == heat.shape
    assert label in page
    assert "without pictures of products" in run.stderr
    assert not re.findall(r'(?:src|<link[^>]+href)="https?://', page)


@pytest.mark.slow
def test_a_model_of_an_earlier_release_is_refused_by_name(shop):
    run = why(shop, "old")
    assert (run.exit_code, run.stdout) == (10, "")
    assert f"{shop / 'serving' / 'old' / '7'}: the model has no signature 'explain'. Train and publish" in run.stderr


def test_list_of_models_tells_their_index(root):
    run = CliRunner().invoke(models, ["list", "--root", str(root)])
    assert "index 9" in run.output
