"""What counts as the same picture: its copies, and nothing that a shop would sell as something else."""

import io
import time
import zipfile
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from components.ingest.duplicates import SIGNATURE, joined, same_picture, signature_of
from tests import HOUSE
from tests.data.faults import draw, encode

REAL = HOUSE.parent / "shared" / "data" / "fashion-product-images-small.zip"

COPIES = {
    "JPEG 95": lambda image: encode(image, quality=95),
    "JPEG 75": lambda image: encode(image, quality=75),
    "PNG": lambda image: encode(image, "PNG"),
    "WebP": lambda image: encode(image, "WEBP"),
    "three quarters": lambda image: encode(image.resize((image.width * 3 // 4, image.height * 3 // 4)), quality=90),
    "twice as large": lambda image: encode(image.resize((image.width * 2, image.height * 2)), quality=90),
}


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGB")


def real_pictures(count: int) -> list[Image.Image]:
    """Some of the public catalogue's, those of its first product onwards."""
    with zipfile.ZipFile(REAL) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        return [opened(archive.read(name)) for name in names[:: max(1, len(names) // count)]]


def brute_force(signatures: np.ndarray) -> np.ndarray:
    """Compares all with all, as the module says it does not have to."""
    values = signatures.astype(np.int64)
    contrast = values[:, :64].var(axis=1) * 64
    limits = np.clip(0.12**2 * contrast, 16, 100)
    lengths = (values**2).sum(axis=1)
    distances = lengths[:, None] + lengths[None] - 2 * values @ values.T
    near = coo_matrix(distances <= np.minimum(limits[:, None], limits[None]))
    return connected_components(near, directed=False)[1]


def partition(numbers: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(numbers == number).tolist()) for number in np.unique(numbers)}


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_is_the_same_picture_and_another_drawing_is_not(copy):
    originals = [opened(encode(draw(size=(120, 160), seed=seed))) for seed in range(1, 40)]
    copies = [opened(COPIES[copy](image)) for image in originals]
    numbers = same_picture(np.array([signature_of(image) for image in (*originals, *copies)]))
    assert numbers[:39].tolist() == numbers[39:].tolist()
    assert len(set(numbers.tolist())) == 39


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason="the public catalogue is not at hand")
def test_copies_of_real_pictures_are_found_and_different_products_kept_apart():
    images = real_pictures(800)
    originals = np.array([signature_of(image) for image in images])
    distinct = same_picture(originals)
    assert Counter(distinct.tolist()).most_common(1)[0][1] <= 3
    for quality in (75, 85, 95):
        copies = np.array([signature_of(opened(encode(image, quality=quality))) for image in images])
        numbers = same_picture(np.concatenate([originals, copies]))
        assert (numbers[: len(images)] == numbers[len(images) :]).mean() >= 0.995


def test_all_that_are_near_are_found_whatever_their_order():
    random = np.random.default_rng(1)
    centres = random.integers(0, 256, (300, SIGNATURE))
    crowded = 128 + random.integers(-3, 4, (600, SIGNATURE))  # too close together to be halved
    spread = np.repeat(centres, 5, axis=0) + random.integers(-2, 3, (1500, SIGNATURE))
    signatures = np.clip(np.concatenate([spread, crowded]), 0, 255).astype(np.uint8)
    found = partition(same_picture(signatures))
    assert found == partition(brute_force(signatures))
    order = random.permutation(len(signatures))
    assert {frozenset(order[list(group)].tolist()) for group in partition(same_picture(signatures[order]))} == found


@pytest.mark.slow
def test_a_hundred_thousand_blanks_take_seconds():
    random = np.random.default_rng(1)
    blanks = 254 + random.integers(0, 2, (100_000, SIGNATURE), np.uint8)
    began = time.monotonic()
    assert len(set(same_picture(blanks).tolist())) == 1
    assert time.monotonic() - began < 60


def test_no_pictures_are_no_groups():
    assert len(same_picture(np.zeros((0, SIGNATURE), np.uint8))) == 0
    assert len(joined([np.zeros(0, np.int64)])) == 0


def test_products_are_joined_over_others_between_them_and_missing_values_join_nobody():
    numbers = joined([np.array([0, 0, 1, 2, 3]), np.array([7, -1, 7, -1, -1])])
    assert partition(numbers) == {frozenset({0, 1, 2}), frozenset({3}), frozenset({4})}
