"""Puts requests together into one run and takes its answer apart again, and the reverse, row by row."""

from collections.abc import Mapping, Sequence

import grpc
import numpy as np

from serving.server.errors import ServingError, invalid

Arrays = Mapping[str, np.ndarray]


class NotByRow(ServingError):
    """Outputs that are not one row for each of the input's: runs cannot be put together, nor taken apart."""


def rows_of(inputs: Arrays) -> int:
    """Counts the rows of a request, which all its inputs have in common.

    Raises:
        ServingError: INVALID_ARGUMENT, they have not.
    """
    if any(array.ndim == 0 for array in inputs.values()):
        raise invalid("Batching Run() input tensors must have at least one dimension")
    sizes = {len(array) for array in inputs.values()}
    if len(sizes) != 1:
        raise invalid("Batching Run() input tensors must have equal 0th-dimension size")
    return sizes.pop()


def merged(requests: Sequence[Arrays], missing: int) -> Arrays:
    """Makes one request of several, with its first row repeated as often as rows are missing."""
    return {
        name: np.concatenate([*(inputs[name] for inputs in requests), *[requests[0][name][:1]] * missing])
        for name in requests[0]
    }


def _check_rows(outputs: Arrays, rows: int) -> None:
    if any(array.ndim == 0 or len(array) != rows for array in outputs.values()):
        raise NotByRow(
            grpc.StatusCode.FAILED_PRECONDITION,
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the inputs",
        )


def split(outputs: Arrays, sizes: Sequence[int], rows: int) -> list[dict[str, np.ndarray] | Exception]:
    """Takes the answer to merged requests apart, by the rows of each.

    Raises:
        NotByRow: it has not as many rows as all, with those that were missing.
    """
    _check_rows(outputs, rows)
    ends = zip(np.cumsum(sizes), sizes, strict=True)
    return [{name: array[end - size : end] for name, array in outputs.items()} for end, size in ends]


def pieces_of(inputs: Arrays, most: int) -> list[Arrays]:
    """Splits a request into ones of at most so many rows, at least one of them."""
    rows = rows_of(inputs)
    if rows <= most:
        return [inputs]
    return [{name: array[start : start + most] for name, array in inputs.items()} for start in range(0, rows, most)]


def joined(answers: Sequence[dict[str, np.ndarray]], pieces: Sequence[Arrays]) -> dict[str, np.ndarray]:
    """Makes one answer of those to the pieces of a request.

    Raises:
        NotByRow: they have not as many rows as their pieces.
    """
    if len(answers) == 1:
        return answers[0]
    for answer, piece in zip(answers, pieces, strict=True):
        _check_rows(answer, rows_of(piece))
    return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}
