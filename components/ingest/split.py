"""Which split a picture belongs to."""

import hashlib
from collections.abc import Mapping

from components.errors import RecipeError
from components.ingest.source import Catalogue
from components.settings import Split

TEST = "test"


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


def split_beside_test(tested: bool, digest: str, shares: Mapping[str, int]) -> str:
    """As `split_of_hash`, where something else than the picture says what is tested on: nothing enters or leaves that.

    Pictures that are the same on both sides stay where they are, or figures could not be compared.

    Args:
        tested: whether it is.
        digest: the picture's `picture_hash`.
        shares: as for `split_of`; that of "test" is not heeded.
    """
    if tested:
        return TEST
    return split_of_hash(digest, {name: weight for name, weight in shares.items() if name != TEST})


def split_of_hash(digest: str, shares: Mapping[str, int]) -> str:
    """As `split_of`, for a picture whose `picture_hash` is known."""
    point = int(digest, 16) % sum(shares.values())
    for name, weight in shares.items():
        if point < weight:
            return name
        point -= weight
    raise AssertionError("a remainder is always below the sum of the weights")


def check_split(settings: Split, catalogue: Catalogue) -> None:
    """Refuses a split that a catalogue does not have.

    Raises:
        RecipeError: the recipe wants the published parts of a catalogue that has none.
    """
    if settings.by == "given" and not catalogue.has_parts:
        raise RecipeError(
            "split.by: given keeps the test part that a data set was published with, as Fashion-MNIST has one; this "
            "catalogue has none. Give --set split.by=picture."
        )
