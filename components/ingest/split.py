"""Which split a product belongs to: by what the product is, so that neither bytes, order nor company matter."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from components.errors import RecipeError
from components.ingest.duplicates import SIGNATURE, joined, same_picture
from components.ingest.settings import Split
from components.ingest.source import Catalogue
from components.settings import SPLITS

TEST = "test"
NOT_SHARED = -1


def product_columns(variants: int) -> np.dtype:
    """What is known of a product while all are divided: a structured dtype of about a hundred bytes.

    `key` and `signature` say who it is and what its picture shows; `variants`, one number for each column of
    `split.together`, whose variants it is of; `tested` whether something else than its key puts it into `test`;
    `label` is the index of its class, or `kind` the number, from 1, of what a product of no class is; `chunk`, `start`
    and `length` say where its example lies.
    """
    return np.dtype([
        ("key", "u8"), ("signature", "u1", SIGNATURE), ("variants", "i8", variants), ("tested", "?"), ("label", "i4"),
        ("kind", "i4"), ("chunk", "i4"), ("start", "i8"), ("length", "i4"),
    ])  # fmt: skip


@dataclass(frozen=True)
class Division:
    """How n products are divided."""

    splits: NDArray[np.uint8]  # uint8 [n], indices into `SPLITS`
    seen: NDArray[np.bool_]  # bool [n], whether training has a picture like this one's
    # Pictures, near-identical ones counted once, that are in both of two splits, by the names of the two.
    shared: Mapping[str, int]
    # How many `products` are not the only one with their picture, and how many `pictures` those have.
    alike: Mapping[str, int]


def key_of(product: str) -> int:
    """Returns the key of a product, 64 bits of the hash of its id: among 10⁶, two agree with a chance of 1 in 10⁷."""
    return int.from_bytes(hashlib.sha256(product.encode()).digest()[:8], "big")


def variant_of(value: str | None) -> int:
    """Returns what products with the same value of a column share; `NOT_SHARED` where it is missing."""
    return NOT_SHARED if value is None else key_of(value) >> 1


def split_of(key: int, shares: Mapping[str, int]) -> str:
    """Assigns a group of products to a split by the hash of its key, each as likely as its share says.

    Args:
        key: the smallest key of its products, stable under re-encoding and order.
        shares: split name to whole-number weight, in a fixed order, e.g. {"train": 8, "eval": 1, "test": 1}.
    """
    # Hashed once more, for the smallest of several is not a fair draw.
    point = int.from_bytes(hashlib.sha256(key.to_bytes(8, "big")).digest(), "big") % sum(shares.values())
    for name, weight in shares.items():
        if point < weight:
            return name
        point -= weight
    raise AssertionError("a remainder is always below the sum of the weights")


def divide(products: NDArray[np.void], settings: Split) -> Division:
    """Assigns products to splits: those with near-identical pictures, and variants of one product, stay together.

    Where something else than the key says what is tested on, nothing enters or leaves that, or figures could not be
    compared: pictures that are alike on both sides are counted and stay where they are.

    Args:
        products: [n] of `product_columns`.
        settings: what is kept together, and the proportions.
    """
    pictures, group = groups(products)
    splits = np.where(products["tested"], SPLITS.index(TEST), deal(products["key"], group, settings)[group])
    splits = splits.astype(np.uint8)
    shown = np.zeros((len(SPLITS), len(products)), np.bool_)  # split by picture
    shown[splits, pictures] = True
    shared = {
        f"{SPLITS[one]} and {SPLITS[other]}": int(count)
        for one, other in combinations(range(len(SPLITS)), 2)
        if (count := (shown[one] & shown[other]).sum())
    }
    sizes = np.bincount(pictures)
    alike = {"pictures": int((sizes > 1).sum()), "products": int(sizes[sizes > 1].sum())}
    return Division(splits, shown[SPLITS.index("train")][pictures], shared, alike)


def groups(products: NDArray[np.void]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Numbers the n pictures, and the groups of products that stay together: [n] each, from 0."""
    pictures = same_picture(products["signature"])
    return pictures, joined([pictures, *products["variants"].T])


def deal(keys: NDArray[np.uint64], group: NDArray[np.intp], settings: Split) -> NDArray[np.intp]:
    """Returns the split of each group, as the smallest key of its products has it; an index into `SPLITS`."""
    smallest = np.full(group.max(initial=-1) + 1, np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(smallest, group, keys)
    shares = {name: weight for name, weight in settings.shares().items() if name != TEST or settings.by == "picture"}
    return np.array([SPLITS.index(split_of(key, shares)) for key in smallest.tolist()], np.intp)


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
