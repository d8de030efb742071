"""Splitting by the hash of the picture."""

from collections import Counter

import pytest

from components.ingest.split import picture_hash, split_beside_test, split_of, split_of_hash

SHARES = {"train": 80, "eval": 10, "test": 10}


def test_identical_pictures_share_a_split_and_a_hash():
    for number in range(50):
        first, second = f"picture {number}".encode(), bytearray(f"picture {number}".encode())
        assert split_of(first, SHARES) == split_of(bytes(second), SHARES)
        assert picture_hash(first) == picture_hash(bytes(second))


def test_a_split_never_changes_between_versions_and_machines():
    assert [split_of(bytes([n]), SHARES) for n in (0, 9, 13)] == ["train", "eval", "test"]
    assert picture_hash(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_the_hash_alone_tells_the_split():
    for number in range(50):
        picture = number.to_bytes(2, "big")
        assert split_of_hash(picture_hash(picture), SHARES) == split_of(picture, SHARES)


@pytest.mark.parametrize("shares", [SHARES, {"train": 1, "eval": 1, "test": 1}, {"a": 997, "b": 3}])
def test_splits_get_their_share(shares):
    count = 20_000
    found = Counter(split_of(number.to_bytes(4, "big"), shares) for number in range(count))
    for name, weight in shares.items():
        expected = count * weight / sum(shares.values())
        assert abs(found[name] - expected) < 5 * expected**0.5


def test_what_is_tested_on_is_kept_whole_and_the_rest_divided_by_picture():
    hashes = [picture_hash(number.to_bytes(2, "big")) for number in range(2_000)]
    assert {split_beside_test(True, digest, SHARES) for digest in hashes} == {"test"}
    rest = Counter(split_beside_test(False, digest, SHARES) for digest in hashes)
    assert set(rest) == {"train", "eval"}
    assert rest["eval"] == pytest.approx(2_000 / 9, rel=0.2)
