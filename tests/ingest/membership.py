"""Members of the splits of catalogues that are drawn as numbers."""

import numpy as np

from components.ingest.duplicates import SIGNATURE
from components.ingest.members import Members
from components.ingest.settings import Split
from components.ingest.split import divide, key_of, product_columns

_COUNT, _SPLIT = 600, Split()


def members(settings: Split = _SPLIT, *, prefix: str = "", noise: int = 0, pictures: int = 0) -> Members:
    """How products are divided.

    Args:
        settings: the split.
        prefix: of their ids; another one makes them other products with the same pictures.
        noise: how far saving them anew changes the signatures of their pictures.
        pictures: another number gives them other pictures.
    """
    random = np.random.default_rng(pictures)
    products = np.zeros(_COUNT, product_columns(0))
    products["key"] = [key_of(f"{prefix}{number}") for number in range(_COUNT)]
    shown = random.integers(0, 256, (_COUNT, SIGNATURE))
    products["signature"] = np.clip(shown + random.integers(-noise, noise + 1, shown.shape), 0, 255)
    division = divide(products, settings)
    return Members(products["key"], division.splits, products["signature"], division.seen)
