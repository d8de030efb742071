"""Which split a picture belongs to."""

import hashlib
from collections.abc import Mapping


def picture_hash(picture: bytes) -> str:
    """Returns the SHA-256 of an encoded picture, as 64 hex digits."""
    return hashlib.sha256(picture).hexdigest()


def split_of(picture: bytes, shares: Mapping[str, int]) -> str:
    """Assigns a picture to a split by the hash of its bytes.

    Identical pictures always land together: 653 groups of the public catalogue share a picture between products, and
    splitting those by id would test on what was trained on.

    Args:
        picture: encoded image, as read from the catalogue.
        shares: split name to whole-number weight, in a fixed order, e.g. {"train": 8, "eval": 1, "test": 1}.

    Returns:
        One of the names in `shares`, with probability proportional to its weight.
    """
    return split_of_hash(picture_hash(picture), shares)


def split_of_hash(digest: str, shares: Mapping[str, int]) -> str:
    """As `split_of`, for a picture whose `picture_hash` is known."""
    point = int(digest, 16) % sum(shares.values())
    for name, weight in shares.items():
        if point < weight:
            return name
        point -= weight
    raise AssertionError("a remainder is always below the sum of the weights")
