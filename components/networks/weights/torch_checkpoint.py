"""Reads PyTorch checkpoints into NumPy: without PyTorch, and without running anything they name."""

import math
import os
import pickle
import pickletools
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from components.errors import WeightsError

_ZIP_MAGIC = b"PK\x03\x04"
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_STORAGES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "LongStorage": "<i8", "IntStorage": "<i4",
    "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1", "BoolStorage": "?",
}  # fmt: skip

# All that torch.save writes for tensors by name.
_OPCODES = {
    "PROTO", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE",
    "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "APPEND", "APPENDS", "SETITEM",
    "SETITEMS", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "GLOBAL", "REDUCE", "BUILD", "BINPERSID",
}  # fmt: skip

# What reading foreign bytes can raise; pickle documents that the list is open, this is what it raises in practice.
_UNREADABLE = (pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError,
               OverflowError, MemoryError, RecursionError, NotImplementedError, RuntimeError, struct.error, zlib.error,
               zipfile.BadZipFile, OSError)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Storage:
    """A run of numbers that the pickle refers to and that lies outside it."""

    key: str
    dtype: str
    count: int


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A view of a storage; offset and strides count elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_torch_checkpoint(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads a state dict that `torch.save` wrote, usually `*.pth` or `*.pt`, in its zip format or the older one.

    Only tensors and the dictionary that holds them are rebuilt. A checkpoint that names any other class or function is
    refused before that name is imported.

    Returns:
        Parameter name to array, in the file's order, with PyTorch's shapes (convolutions are [out, in, h, w]).

    Raises:
        WeightsError: the file is missing, truncated, not a checkpoint, or holds more than tensors by name.
    """
    file = Path(path)
    try:
        with file.open("rb") as stream:
            zipped = stream.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC
            stream.seek(0)
            state, arrays = _read_zip(stream) if zipped else _read_legacy(stream)
        return {name: _materialise(name, tensor, arrays) for name, tensor in _named_tensors(state)}
    except _UNREADABLE as error:
        reason = str(error).strip() or type(error).__name__
        raise WeightsError(
            f"{file}: not readable as a PyTorch checkpoint ({reason}). "
            "Give the complete file that torch.save(model.state_dict(), …) wrote"
        ) from error


class _Unpickler(pickle.Unpickler):
    """Knows tensors, their storages and ordered dictionaries; refuses every other name and every other opcode."""

    def __init__(self, stream: IO[bytes]) -> None:
        _check_opcodes(stream)
        super().__init__(stream)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        try:
            return _REBUILDERS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is not part of a tensor") from None

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, count, *view = pid
        if kind != "storage" or dtype not in _STORAGES.values() or any(view) or not _is_count(count):
            raise pickle.UnpicklingError("it describes a storage in an unknown way")
        storage = _Storage(str(key), dtype, count)
        if self.storages.setdefault(storage.key, storage) != storage:
            raise pickle.UnpicklingError(f"it describes storage {key} in two ways")
        return storage


def _check_opcodes(stream: IO[bytes]) -> None:
    """Reads one pickle without building anything, and goes back to where it began."""
    start = stream.tell()
    for opcode, argument, position in pickletools.genops(stream):
        if opcode.name not in _OPCODES:
            raise pickle.UnpicklingError(f"its opcode {opcode.name} is not part of a tensor")
        # The unpickler makes room for as many values as an index says, be it four billion.
        if opcode.name == "LONG_BINPUT" and int(argument or 0) > (position or 0):
            raise pickle.UnpicklingError("it remembers more values than it has bytes")
    stream.seek(start)


_REBUILDERS: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): lambda storage, offset, shape, strides, *_: _Tensor(
        storage, offset, tuple(shape), tuple(strides)
    ),
    ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
}


def _read_zip(stream: IO[bytes]) -> tuple[Any, dict[str, np.ndarray]]:
    with zipfile.ZipFile(stream) as archive:
        pickles = [name for name in archive.namelist() if name.split("/")[1:] == ["data.pkl"]]
        if len(pickles) != 1:
            raise ValueError("a zip without data.pkl")
        root = pickles[0].removesuffix("/data.pkl")
        order = f"{root}/byteorder"
        if order in archive.namelist() and archive.read(order) != b"little":
            raise ValueError("its numbers are big-endian")
        with archive.open(pickles[0]) as pickled:
            unpickler = _Unpickler(pickled)
            state = unpickler.load()
        arrays = {}
        for storage in unpickler.storages.values():
            entry = archive.getinfo(f"{root}/data/{storage.key}")
            # torch stores; a compressed entry could unfold to any size.
            if entry.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"storage {storage.key} is compressed")
            arrays[storage.key] = _numbers(storage, archive.read(entry))
    return state, arrays


def _read_legacy(stream: IO[bytes]) -> tuple[Any, dict[str, np.ndarray]]:
    if _Unpickler(stream).load() != _LEGACY_MAGIC or _Unpickler(stream).load() != _LEGACY_PROTOCOL:
        raise ValueError("it does not begin like one")
    if not _Unpickler(stream).load()["little_endian"]:
        raise ValueError("its numbers are big-endian")
    unpickler = _Unpickler(stream)
    state = unpickler.load()
    arrays = {}
    for key in _Unpickler(stream).load():
        storage = unpickler.storages[key]
        (count,) = struct.unpack("<q", stream.read(8))
        if count != storage.count:
            raise ValueError(f"storage {key} holds {count:,} numbers instead of {storage.count:,}")
        arrays[key] = _numbers(storage, stream.read(count * np.dtype(storage.dtype).itemsize))
    return state, arrays


def _numbers(storage: _Storage, raw: bytes) -> np.ndarray:
    dtype = np.dtype(storage.dtype)
    if len(raw) != storage.count * dtype.itemsize:
        raise ValueError(f"truncated in storage {storage.key}")
    return np.frombuffer(raw, dtype)


def _named_tensors(state: Any) -> list[tuple[str, _Tensor]]:
    if isinstance(state, dict) and len(state) == 1:
        (held,) = state.values()
        state = held if isinstance(held, dict) else state  # {"model": …}, as training scripts save it
    if not isinstance(state, dict) or not state:
        raise ValueError("it holds no tensors by name")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, _Tensor):
            raise ValueError(f"{name!r} is not a tensor by name")
    return list(state.items())


def _materialise(name: str, tensor: _Tensor, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Copies the view out of its storage, after checking that it lies inside and repeats nothing."""
    shape, strides = tensor.shape, tensor.strides
    fits = len(shape) == len(strides) and all(map(_is_count, (tensor.offset, *shape, *strides)))
    if not fits or not isinstance(tensor.storage, _Storage):
        raise ValueError(f"{name} has no valid shape")
    numbers = arrays[tensor.storage.key]
    size = math.prod(shape)
    end = tensor.offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True)) + 1 if size else 0
    if max(size, end) > numbers.size:
        raise ValueError(f"{name} reaches beyond its storage")
    steps = [step * numbers.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(numbers[tensor.offset :], shape, steps).copy()


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0
