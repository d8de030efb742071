"""Finds pictures that show the same though their bytes differ: saved anew, shrunk, or sold under two ids."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_matrix, csr_matrix  # type: ignore[import-untyped]
from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

_LUMA, _CHROMA = 8, 2  # sides, in means of areas; two chroma planes
SIGNATURE = _LUMA**2 + 2 * _CHROMA**2  # bytes

# Squared distance up to which two signatures are of one picture. On the public catalogue's 60×80 pixels it joins all
# pictures with their copies saved as JPEG of quality 75 to 95, 99 % at 60, and 99.9 % of those shrunk to 3/4; and of
# different pictures hardly any but those of which one is the other in new colours.
_FARTHEST = 100
# Pale earrings on white are all alike by that. They differ by less, but by more of what there is to see.
_OF_CONTRAST, _NEAREST = 0.12**2, 16

# Signatures compared with one another at once: of so few, BLAS multiplies without threads, which would wait for others.
_LEAF = 40
_AXES = 16
_UNHELPFUL = 0.85  # of the signatures in one half
# Where so many differ by so little in every direction they are taken for blanks; comparing all would take for ever.
_MANY = 4096


Signatures = NDArray[np.float32]  # [n, SIGNATURE], less 128
Limits = NDArray[np.float32]  # [n], of squared distance


def signature_of(picture: Image.Image) -> NDArray[np.uint8]:
    """Sums up what a picture shows so that saving it anew hardly changes it: uint8 [SIGNATURE], brightness first."""
    # Of the filters tried this one is moved least by a change of size; Pillow's BOX takes or leaves whole pixels.
    small = picture.resize((_LUMA, _LUMA), Image.Resampling.BILINEAR)
    luma, *chroma = small.convert("YCbCr").split()
    planes = [luma, *(plane.reduce(_LUMA // _CHROMA) for plane in chroma)]
    return np.frombuffer(b"".join(plane.tobytes() for plane in planes), np.uint8)


def same_picture(signatures: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Numbers pictures so that near-identical ones have the same number, directly or over others between them.

    The result depends neither on order nor on chance: whatever lies within the distance is found, without comparing all
    with all. Of signatures uint8 [n, SIGNATURE] it is [n], from 0 on.
    """
    if not len(signatures):
        return np.zeros(0, np.intp)
    whole = np.ascontiguousarray(signatures).view(f"V{SIGNATURE}").ravel()
    _, first, number = np.unique(whole, return_index=True, return_inverse=True)
    # Within ±128 the sums of products below are whole numbers that float32 holds exactly.
    values = signatures[first].astype(np.float32) - 128
    contrast = values[:, : _LUMA**2].var(axis=1) * _LUMA**2
    limits = np.clip(_OF_CONTRAST * contrast, _NEAREST, _FARTHEST)
    edges = np.concatenate(list(_edges(values, limits)), axis=1)
    return _components(len(first), edges)[number]


def joined(columns: Sequence[NDArray[Any]]) -> NDArray[np.intp]:
    """Numbers products so that those with the same value in any column have the same number, as do theirs in turn.

    Each column is [n] of integers; negative values are not shared.
    """
    count, start, edges = len(columns[0]), len(columns[0]), []
    for column in columns:
        products = np.flatnonzero(column >= 0)
        values, number = np.unique(column[products], return_inverse=True)
        edges.append(np.stack([products, start + number]))
        start += len(values)
    return np.unique(_components(start, np.concatenate(edges, axis=1))[:count], return_inverse=True)[1]


def groups_of(numbers: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Returns the rows [m] of each number, 2 or more, that several of n rows have."""
    order = np.argsort(numbers, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)
    return [rows for rows in groups if len(rows) > 1]


def _components(count: int, edges: NDArray[np.intp]) -> NDArray[np.intp]:
    graph = coo_matrix((np.ones(edges.shape[1], np.bool_), (edges[0], edges[1])), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def _edges(values: Signatures, limits: Limits) -> Iterator[NDArray[np.intp]]:
    """Edges [2, m] that lead along near signatures from each to all it is joined with.

    All are halved along the direction in which they differ most, again and again, until few are left to compare. As no
    projection is longer than the difference itself, halves that overlap by the distance part no near ones.
    """
    directions = np.linalg.eigh(np.cov(values, rowvar=False, bias=True))[1][:, -_AXES:].astype(np.float32)
    places = values @ directions
    parts = [np.arange(len(values))]
    while parts:
        part = parts.pop()
        if len(part) <= _LEAF:
            yield _among_few(part, values[part], limits[part])
        elif halves := _halves(places[part], float(limits[part].max()) ** 0.5 + 0.01):
            parts += [part[half] for half in halves]
        elif len(part) <= _MANY:
            yield from _among_many(part, values, limits)
        else:
            yield np.stack([part, np.full(len(part), part[0])])


def _halves(places: NDArray[np.float32], distance: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Two parts that overlap by the distance; None where all lie so close that one of them would hold nearly all."""
    place = places[:, places.std(axis=0).argmax()]
    lower, upper = place <= np.median(place) + distance, place > np.median(place)
    if max(lower.sum(), upper.sum()) <= _UNHELPFUL * len(place):
        return lower, upper
    place = places[:, np.ptp(places, axis=0).argmax()]
    middle = (place.min() + place.max()) / 2
    return (place <= middle + distance, place > middle) if np.ptp(place) > 4 * distance else None


def _among_few(part: NDArray[np.intp], values: Signatures, limits: Limits) -> NDArray[np.intp]:
    """Compares each with each."""
    near = _near(values, values, limits, limits)
    if near.sum() == len(part):  # each is near itself alone
        return np.zeros((2, 0), np.intp)
    number = connected_components(csr_matrix(near), directed=False)[1]
    first = np.unique(number, return_index=True)[1]
    edges = np.stack([part, part[first[number]]])
    return edges[:, edges[0] != edges[1]]


def _among_many(part: NDArray[np.intp], values: Signatures, limits: Limits) -> Iterator[NDArray[np.intp]]:
    """Gathers those joined with one, then with one of the rest: where all are near one, that is a single pass."""
    while len(part):
        start, part = part[0], part[1:]
        found = np.array([start])
        while len(found) and len(part):
            some, found = found[:64], found[64:]
            near = _near(values[some], values[part], limits[some], limits[part]).any(axis=0)
            yield np.stack([part[near], np.full(near.sum(), start)])
            found, part = np.concatenate([found, part[near]]), part[~near]


def _near(one: Signatures, other: Signatures, limits: Limits, other_limits: Limits) -> NDArray[np.bool_]:
    """Which of m signatures are of one picture with which of n others: [m, n]."""
    lengths, other_lengths = (one**2).sum(axis=1), (other**2).sum(axis=1)
    distances = lengths[:, np.newaxis] + other_lengths - 2 * one @ other.T
    return distances <= np.minimum(limits[:, np.newaxis], other_limits)
