"""Which split products belong to, and what may not change it."""

from collections import Counter

import numpy as np
import pytest

from components.ingest.duplicates import SIGNATURE
from components.ingest.settings import Split
from components.ingest.split import NOT_SHARED, divide, key_of, product_columns, split_of, variant_of
from components.settings import SPLITS

SHARES = {"train": 8, "eval": 1, "test": 1}
SPLIT = Split(train=8, eval=1, test=1)


def products(count: int, seed: int = 0, variants: int = 0) -> np.ndarray:
    """Products of ids 0, 1, … with pictures that have nothing in common."""
    columns = np.zeros(count, product_columns(variants))
    columns["key"] = [key_of(str(number)) for number in range(count)]
    columns["signature"] = np.random.default_rng(seed).integers(0, 256, (count, SIGNATURE))
    columns["variants"] = NOT_SHARED
    return columns


def saved_anew(columns: np.ndarray) -> np.ndarray:
    """The same products, their pictures changed as a JPEG of lower quality changes them."""
    changed = columns.copy()
    noise = np.random.default_rng(9).integers(-1, 2, (len(columns), SIGNATURE))
    changed["signature"] = np.clip(columns["signature"].astype(int) + noise, 0, 255)
    assert (changed["signature"] != columns["signature"]).any(axis=1).all()
    return changed


def dealt(columns: np.ndarray, settings: Split = SPLIT) -> dict[int, int]:
    return dict(zip(columns["key"].tolist(), divide(columns, settings).splits.tolist(), strict=True))


def test_assignment_never_changes():
    assert [split_of(key_of(product), SHARES) for product in ("1163", "1164", "1170")] == ["eval", "train", "train"]
    assert key_of("1163") == 11_064_128_680_941_333_185


@pytest.mark.parametrize("shares", [SHARES, {"train": 70, "eval": 10, "test": 20}, {"train": 1, "eval": 1, "test": 1}])
def test_splits_come_out_in_proportion(shares):
    count = 20_000
    found = Counter(split_of(key_of(str(number)), shares) for number in range(count))
    for name, weight in shares.items():
        expected = weight / sum(shares.values())
        assert found[name] / count == pytest.approx(expected, abs=4 * (expected * (1 - expected) / count) ** 0.5)


def test_reencoded_pictures_stay_in_their_split():
    catalogue = products(600)
    assert dealt(saved_anew(catalogue)) == dealt(catalogue)


def test_near_identical_pictures_share_a_split():
    catalogue, twins = products(600), saved_anew(products(600))
    twins["key"] = [key_of(f"twin of {number}") for number in range(600)]
    division = divide(np.concatenate([catalogue, twins]), SPLIT)
    assert division.splits[:600].tolist() == division.splits[600:].tolist()
    assert set(division.splits.tolist()) == {0, 1, 2}
    assert division.alike == {"products": 1200, "pictures": 600}
    assert division.shared == {}


def test_order_of_the_products_does_not_matter():
    catalogue = np.concatenate([products(300), saved_anew(products(300))])
    catalogue["key"] = [key_of(str(number)) for number in range(600)]
    assert dealt(catalogue[::-1]) == dealt(catalogue)


def test_subset_keeps_splits():
    """Exactly where no pictures are shared; else all but those whose group lost the product that speaks for it."""
    catalogue = products(600)
    whole = dealt(catalogue)
    assert all(whole[key] == split for key, split in dealt(catalogue[::3]).items())
    pairs = np.concatenate([catalogue, saved_anew(catalogue)])
    pairs["key"] = [key_of(str(number)) for number in range(1200)]
    whole, half = dealt(pairs), dealt(pairs[:900])
    moved = {key for key, split in half.items() if whole[key] != split}
    lost = {first for first, second in zip(*pairs["key"].reshape(2, 600).tolist(), strict=True) if second < first}
    assert moved <= lost & {*pairs["key"][300:600].tolist()}


def test_variants_stay_together():
    catalogue = products(600, variants=1)
    catalogue["variants"][:, 0] = [variant_of(str(number // 3)) for number in range(600)]
    splits = divide(catalogue, SPLIT).splits.reshape(200, 3)
    assert (splits == splits[:, :1]).all()
    assert set(splits.ravel().tolist()) == {0, 1, 2}
    catalogue["variants"] = variant_of(None)
    assert dealt(catalogue) == dealt(products(600))


@pytest.mark.parametrize("by", ["given", "year"])
def test_nothing_enters_or_leaves_what_is_tested_on_and_pictures_on_both_sides_are_counted(by):
    catalogue = np.concatenate([products(600), saved_anew(products(600)[:50])])
    catalogue["key"] = [key_of(str(number)) for number in range(650)]
    catalogue["tested"][500:] = True
    division = divide(catalogue, Split(by=by, train=8, eval=1))
    assert [SPLITS[split] for split in division.splits[500:]] == ["test"] * 150
    assert {SPLITS[split] for split in division.splits[:500]} == {"train", "eval"}
    assert sum(division.shared.values()) == 50
    assert set(division.shared) <= {"train and test", "eval and test"}
    assert division.seen[600:].sum() == division.shared["train and test"]


def test_no_products_are_divided_into_nothing():
    assert len(divide(products(0), SPLIT).splits) == 0
