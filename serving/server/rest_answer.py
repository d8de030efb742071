"""The JSON of a predict answer, as TensorFlow Serving's REST API has it: from arrays to its text."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from serving.server.errors import invalid

_MOST_VALUES = 2**14  # that are written in one piece


def write_outputs(outputs: Mapping[str, np.ndarray], by_row: bool) -> str:
    """Writes an answer in the format of its request.

    Args:
        outputs: arrays by output name; strings as object arrays of bytes.
        by_row: one list entry for each row, or one tensor for each output.

    Returns:
        JSON. A single output stands alone, several by name. Strings of an output whose name ends in `_bytes` are
        base64 in {"b64": …}; others are text, in which what is no UTF-8 is replaced.

    Raises:
        ServingError: INVALID_ARGUMENT, the outputs do not share the first dimension that rows need.
    """
    if not by_row:
        columns = {
            name: _listed({name: array}) if array.ndim else json.dumps(json_values(name, array))
            for name, array in sorted(outputs.items())
        }
        if len(columns) == 1:
            return f'{{"outputs": {next(iter(columns.values()))}}}'
        return '{"outputs": {' + ", ".join(f"{json.dumps(name)}: {text}" for name, text in columns.items()) + "}}"
    _check_rows(outputs)
    return f'{{"predictions": {_listed(outputs)}}}'


def _listed(outputs: Mapping[str, np.ndarray]) -> str:
    """A list of rows, written some at a time: all at once would keep other threads waiting."""
    rows = max((len(array) for array in outputs.values()), default=0)
    most = max(1, _MOST_VALUES * rows // max(1, sum(array.size for array in outputs.values())))
    parts = []
    for start in range(0, rows, most):
        columns = {name: json_values(name, array[start : start + most]) for name, array in sorted(outputs.items())}
        few = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        parts.append(json.dumps(few if len(columns) > 1 else next(iter(columns.values())))[1:-1])
    return f"[{', '.join(parts)}]"


def _check_rows(outputs: Mapping[str, np.ndarray]) -> None:
    rows: int | None = None
    for name, array in sorted(outputs.items()):
        if not array.ndim:
            raise invalid(f"Tensor name: {name} has no shape information")
        if rows not in (None, len(array)):
            raise invalid(f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {rows}")
        rows = len(array)


def json_values(name: str, array: np.ndarray) -> Any:
    """Nested lists that `json` can write, of an output's array."""
    if array.dtype.kind in "OS":
        values, flat = array.ravel().tolist(), np.empty(array.size, object)
        if name.endswith("_bytes"):
            flat[:] = [{"b64": base64.b64encode(value).decode()} for value in values]
        else:
            flat[:] = [value.decode(errors="replace") for value in values]
        return flat.reshape(array.shape).tolist()
    if array.dtype.kind == "f" and array.dtype.itemsize < 8:
        # By way of its shortest text a float32 keeps its few digits: 0.2 is not to become 0.20000000298023224.
        return array.astype(str).astype(np.float64).tolist()
    return array.tolist()
