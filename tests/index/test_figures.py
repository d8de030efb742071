"""What vectors are made to hold, and how an index is judged by products that no model has seen."""

import numpy as np
import pyarrow as pa
import pytest

from components.index.figures import Judges, measure, shortfalls
from components.index.projection import fit
from components.ingest.duplicates import SIGNATURE
from components.ingest.members import MEMBERS_FILE, Members
from components.ingest.split import key_of
from components.settings import SPLITS
from serving.search.index import transformed

TEST, TRAIN = SPLITS.index("test"), SPLITS.index("train")


def drawn(count: int, seed: int):
    """Embeddings in which what tells the colours apart is faint beside all else: float32 [count, 20], and colours."""
    random = np.random.default_rng(seed)
    colours = random.integers(4, size=count)
    raw = random.normal(size=(count, 20))
    raw[:, 16:] = 0.2 * np.eye(4)[colours] + 0.05 * random.normal(size=(count, 4))
    raw /= np.linalg.norm(raw, axis=1, keepdims=True)
    return raw.astype(np.float32), [f"c{colour}" for colour in colours]


def precision(vectors, values):
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -1)
    nearest = np.argsort(-likeness, axis=1)[:, :10]
    values = np.array(values)
    return (values[nearest] == values[:, np.newaxis]).mean()


def test_products_that_share_a_value_come_closer_also_those_it_was_not_fitted_to():
    raw, values = drawn(600, 1)
    fresh, known = drawn(200, 2)
    transforms = fit(raw, {"colour": values}, {"colour": 1.0}, 8)
    vectors = transformed(transforms, fresh)
    assert vectors.shape == (200, 8)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert precision(fresh, known) < 0.5 < 0.8 < precision(vectors, known)


def test_without_columns_it_is_the_principal_components():
    raw, _ = drawn(300, 1)
    [linear, _] = fit(raw, {}, {}, 6)
    projected = linear.apply(raw)
    covariance = np.cov(projected.T)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 1e-3 * covariance.max()
    kept = np.linalg.eigvalsh(np.cov(raw.T))[::-1][:6]
    assert np.diag(covariance) / np.diag(covariance)[0] == pytest.approx(kept / kept[0], rel=1e-3)


@pytest.mark.parametrize(
    ("count", "values", "weights"),
    [
        (30, {"colour": ["a", "b"] * 15}, {"colour": 1.0}),  # too few products to learn from
        (300, {"colour": [None] * 300}, {"colour": 1.0}),
        (300, {"colour": ["a"] * 300}, {"colour": 1.0}),
        (300, {"colour": [f"{n}" for n in range(300)]}, {"colour": 1.0}),  # all are rare
        (300, {}, {"colour": 1.0}),
    ],
)
def test_values_that_teach_nothing_leave_embeddings_as_they_are(count, values, weights):
    assert fit(drawn(count, 1)[0], values, weights, 64) == []


@pytest.fixture
def model(tmp_path):
    """A published model that was tested on p0 to p3, of which p1 shows the same picture as p0."""
    signatures = np.random.default_rng(0).integers(0, 256, size=(8, SIGNATURE)).astype(np.uint8)
    signatures[1] = signatures[0]
    keys = np.array([key_of(f"p{n}") for n in range(8)], np.uint64)
    splits = np.array([TEST] * 4 + [TRAIN] * 4, np.uint8)
    members = Members(keys, splits, signatures, np.zeros(8, np.bool_))
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / MEMBERS_FILE).write_bytes(members.as_parquet())
    return tmp_path


def test_precision_is_of_the_ten_nearest_without_the_same_picture(model):
    angles = np.array([0.0, 0.01, 0.1, 3.0, 0.2, 0.3, 0.4, 0.5])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    types = ["a", "a", "b", None, "a", "b", "b", "a"]
    table = pa.table({"id": [f"p{n}" for n in range(8)], "type": types, "colour": ["x"] * 8})
    figures = measure(vectors, table, Judges(model), ["type", "type+colour", "nothing"])
    # p0 and p1 leave each other out, and of the six others p4 and p7 agree; of p2's seven, p5 and p6 do.
    assert figures["type"]["queries"] == 3
    assert figures["type"]["precision"] == pytest.approx((2 / 6 + 2 / 6 + 2 / 7) / 3)
    # p0 and p1: p2, p4 come first, so one of two is right, in second place; p2: p4, p1 come first.
    assert figures["type"]["map_at_r"] == pytest.approx((0.25 + 0.25 + 0) / 3)
    assert figures["type+colour"] == figures["type"]
    assert "nothing" not in figures


def test_index_below_what_the_recipe_asks_for_is_said_with_its_figure():
    figures = {"type": {"precision": 0.75, "map_at_r": 0.5, "queries": 1000}}
    assert shortfalls(figures, {"type": 0.7}) == []
    assert shortfalls(figures, {"type": 0.8}) == ["precision@10 of the same type is 0.750, below 0.8 (1,000 products)"]
    assert "cannot be measured" in shortfalls(figures, {"colour": 0.1})[0]


def test_model_without_a_record_of_its_splits_judges_nothing(tmp_path):
    table = pa.table({"id": ["p0", "p1"], "type": ["a", "a"]})
    assert measure(np.eye(2, dtype=np.float32), table, Judges(tmp_path), ["type"]) == {}
