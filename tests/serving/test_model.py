"""What every published model promises, on the smallest there is: names that are right, errors that are heard."""

import io
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.answers.ask import REFUSED, ask
from components.answers.inputs import Products
from components.ingest.faults import Reason
from tests.data.faults import good_rows, write_catalogue
from tests.serving.serving_model import LABELS, MAX_PIXELS, SIZE, weights, write_model

COLOURS = [(250, 20, 20), (20, 250, 20), (20, 20, 250), (240, 240, 10), (10, 10, 10)]


def one_colour(colour: tuple[int, int, int], size: tuple[int, int] = (12, 9)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, "PNG")
    return stream.getvalue()


LARGE = one_colour((250, 20, 20), (MAX_PIXELS // 1000 + 1, 1000))
PICTURES = [*map(one_colour, COLOURS), b"no picture", LARGE]
GOOD = len(COLOURS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "1")


@pytest.fixture(scope="module")
def answers(folder: Path) -> Iterator[Mapping[str, Any]]:
    """What the local server's own reader of models answers about all pictures."""
    from serving.server.servable import Servable

    servable = Servable(folder)
    yield servable.run("serving_default", {"image_bytes": np.array(PICTURES, object)})
    servable.close()


def test_names_are_those_of_the_class_list_in_the_order_of_the_probabilities(answers, folder) -> None:
    logits = np.array(COLOURS, np.float32) @ weights(LABELS)  # of pixels as they are, 0 to 255
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    best = shares.argmax(axis=1)
    assert len(set(best)) > 2
    assert answers["probabilities"][:GOOD] == pytest.approx(shares, abs=1e-4)
    assert [name.decode() for name in answers["label"][:GOOD]] == [LABELS[label] for label in best]
    assert [row[1].decode() for row in answers["top_labels"][:GOOD]] == [LABELS[row.argsort()[-2]] for row in shares]
    assert answers["confidence"][:GOOD] == pytest.approx(shares.max(axis=1), abs=1e-4)
    assert (folder / "assets.extra" / "labels.txt").read_text().splitlines() == list(LABELS)


def test_picture_that_cannot_be_answered_has_an_error_and_no_label_and_the_others_have_theirs(answers) -> None:
    errors = [error.decode() for error in answers["error"]]
    assert errors[:GOOD] == [""] * GOOD
    assert errors[GOOD] == "this is not a picture in a known format: send JPEG or PNG"
    assert errors[GOOD + 1].endswith(f"more than {MAX_PIXELS:,} in all: send a smaller one")
    assert answers["label"][GOOD:].tolist() == [b"", b""]
    assert not answers["probabilities"][GOOD:].any()


def test_asked_in_this_process_it_gives_an_error_where_it_has_no_answer_and_labels_the_rest(folder) -> None:
    from serving.local_model import LocalModel

    with LocalModel(folder) as model:
        found = model.predict(PICTURES)
    assert [answer.error is None for answer in found] == [True] * GOOD + [False] * 2
    assert [bool(answer.label) for answer in found] == [True] * GOOD + [False] * 2
    assert found[GOOD].error == "this is not a picture in a known format: send JPEG or PNG"


def test_asked_why_it_says_what_each_place_adds_to_the_logit_of_the_label(folder) -> None:
    from serving.local_model import LocalModel

    half = Image.new("RGB", (SIZE, SIZE), COLOURS[0])
    half.paste(COLOURS[2], (0, 0, SIZE // 2, SIZE))
    with LocalModel(folder) as model:
        [answer] = model.explain([half])
    heat, column = np.asarray(answer.explanation), weights(LABELS)[:, LABELS.index(answer.label)]
    assert heat.shape == (SIZE, SIZE)
    assert heat[:, 0] == pytest.approx(np.full(SIZE, COLOURS[2] @ column), abs=1e-4)
    assert heat[:, -1] == pytest.approx(np.full(SIZE, COLOURS[0] @ column), abs=1e-4)


@pytest.mark.parametrize(
    ("recipe", "reasons"),
    [
        (None, [None, Reason.EMPTY_PICTURE, REFUSED]),
        ("picture: {max_pixels: 300}\n", [Reason.LARGE_PICTURE, Reason.EMPTY_PICTURE, Reason.LARGE_PICTURE]),
    ],
    ids=["without a recipe", "with the limits of its recipe"],
)
def test_products_have_an_answer_or_the_reason_why_not(folder, tmp_path, recipe, reasons) -> None:
    from serving.local_model import LocalModel

    published = Path(shutil.copytree(folder, tmp_path / "six_class" / "1"))
    if recipe:
        (published / "assets.extra" / "recipe.yaml").write_text(recipe)
    images = {"1000": one_colour(COLOURS[0], (20, 16)), "1001": b"", "1002": LARGE}
    inputs = Products(write_catalogue(tmp_path / "catalogue", good_rows(3), images), published)
    with LocalModel(published) as model:
        rows = list(ask(inputs, inputs, model.predict_each, "six_class/1"))
    assert [row["id"] for row in rows] == list(images)
    assert [row["reason"] for row in rows] == reasons
    assert [bool(row["label"]) for row in rows] == [reason is None for reason in reasons]
    assert [bool(row["error"]) for row in rows] == [reason is not None for reason in reasons]


def test_batch_of_another_model_begins_anew_and_one_of_the_same_goes_on(tmp_path) -> None:
    from components.batch.job import begin

    folder, left = tmp_path / ".answers.unfinished", tmp_path / ".answers.unfinished" / "predictions-00000-of-00002.csv"
    begin(folder, {"model": "six_class/1"})
    left.touch()
    begin(folder, {"model": "six_class/1"})
    assert left.exists()
    begin(folder, {"model": "six_class/2"})
    assert not left.exists()
