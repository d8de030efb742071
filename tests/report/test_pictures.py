"""The pictures of a report: which are chosen, and that each is small and can be decoded."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from components.report.selection import select
from components.report.thumbnail import heated, thumbnail
from tests.report.inputs import answers, jpeg


def test_thumbnails_keep_their_shape_and_are_never_larger_than_160():
    large, small = (Image.open(io.BytesIO(thumbnail(jpeg(*size)))) for size in ((800, 400), (60, 80)))
    assert (large.size, small.size) == ((160, 80), (60, 80))


@pytest.mark.parametrize("broken", [b"", b"GIF89a", jpeg(60, 80)[:300], b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_what_cannot_be_decoded_has_no_thumbnail(broken):
    assert thumbnail(broken) is None


@pytest.mark.parametrize("form", ["EPS", "ICO", "PPM", "PDF"])
def test_only_formats_that_ingest_knows_are_opened(form, monkeypatch):
    file = io.BytesIO()
    Image.new("RGB", (60, 80)).save(file, form)
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("Ghostscript was started"))
    assert thumbnail(file.getvalue()) is None


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"])
def test_formats_that_ingest_knows_have_thumbnails(form):
    file = io.BytesIO()
    Image.new("RGB", (60, 80)).save(file, form)
    assert Image.open(io.BytesIO(thumbnail(file.getvalue()))).size == (60, 80)


def test_a_picture_of_too_many_pixels_is_not_decoded(monkeypatch):
    file = io.BytesIO()
    Image.new("1", (8000, 6000)).save(file, "PNG")
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("it was decoded"))
    assert thumbnail(file.getvalue()) is None


def test_overlays_have_the_size_of_the_picture_and_are_warm_where_the_heat_is():
    heat = np.full((4, 4), -9, np.float32)
    heat[:, 3] = 3
    grey = io.BytesIO()
    Image.new("RGB", (60, 80), (128, 128, 128)).save(grey, "JPEG")
    drawn = np.asarray(Image.open(io.BytesIO(heated(grey.getvalue(), heat))), float)
    assert drawn.shape == (80, 60, 3)
    assert drawn[:, -5:].mean() > drawn[:, :5].mean() + 50


@pytest.fixture
def chosen():
    labels, probabilities = answers(count=300)
    embeddings = np.random.default_rng(1).normal(size=(300, 8)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    embeddings[1::2] = embeddings[::2]  # every picture twice
    hashes = np.array([f"{row // 2:03}" for row in range(300)])
    confusion = np.zeros((3, 3), int)
    np.add.at(confusion, (labels, probabilities.argmax(axis=1)), 1)
    found = select(labels, probabilities, embeddings, hashes, confusion.tolist())
    return SimpleNamespace(labels=labels, probabilities=probabilities, hashes=hashes, found=found, confusion=confusion)


def test_worst_mistakes_are_the_surest_wrong_answers(chosen):
    confidence, wrong = chosen.probabilities.max(axis=1), chosen.probabilities.argmax(axis=1) != chosen.labels
    expected = sorted(np.flatnonzero(wrong), key=lambda row: -confidence[row])[:12]
    assert list(chosen.found.worst) == expected


def test_sure_answers_are_right_and_of_every_class(chosen):
    rows = list(chosen.found.sure)
    assert (chosen.probabilities.argmax(axis=1)[rows] == chosen.labels[rows]).all()
    assert np.bincount(chosen.labels[rows]).tolist() == [4, 4, 4]


def test_edge_cases_are_those_whose_first_two_answers_are_closest(chosen):
    two = np.sort(chosen.probabilities, axis=1)[:, -2:]
    margin = two[:, 1] - two[:, 0]
    assert margin[list(chosen.found.edge)].max() == np.sort(margin)[11]


def test_confused_pairs_show_examples_of_that_very_mistake(chosen):
    predicted = chosen.probabilities.argmax(axis=1)
    for true, taken, count, rows in chosen.found.pairs:
        assert count == chosen.confusion[true][taken]
        assert rows
        assert all((chosen.labels[row], predicted[row]) == (true, taken) for row in rows)


def test_a_picture_is_not_shown_as_similar_to_itself(chosen):
    for query, rows, cosines in chosen.found.similar:
        hashes = chosen.hashes[[query, *rows]]
        assert len(set(hashes)) == 6
        assert list(cosines) == sorted(cosines, reverse=True)
