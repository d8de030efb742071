"""What every published model promises, on the smallest there is: names that are right, errors that are heard."""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.serving.serving_model import LABELS, MAX_PIXELS, weights, write_model

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
