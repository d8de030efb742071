"""A data set in the layout of MNIST as a catalogue: four idx-ubyte files, plain or gzipped.

Fashion-MNIST comes so: Xiao et al. 2017, https://arxiv.org/abs/1708.07747; as Debian's package dataset-fashion-mnist,
as Keras' download and as the authors' own. The format: http://yann.lecun.com/exdb/mnist/.
"""

import gzip
import hashlib
import io
import math
import os
import shutil
import struct
import tempfile
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.errors import CatalogueError
from components.features import ID
from components.ingest.files import combined_digest, lines_of, open_file, readable
from components.ingest.source import Catalogue

if TYPE_CHECKING:
    from components.ingest.table import Row

NAMES_FILE = "classes.txt"  # the class of each label, one a line from label 0 on
COLUMN = "articleType"

_PARTS = {"train": "train", "t10k": "test"}  # prefix of the files to the part's name
_PICTURES, _LABELS = "images-idx3-ubyte", "labels-idx1-ubyte"
_FILES = tuple(f"{prefix}-{kind}" for prefix in _PARTS for kind in (_PICTURES, _LABELS))
_DIMENSIONS = {_PICTURES: 3, _LABELS: 1}
_GZIP = b"\x1f\x8b"
_UNSIGNED_BYTES = 0x08

# SHA-256 of the 60,000 training labels, by which Fashion-MNIST is told from MNIST: the files have the same names.
_FASHION_MNIST = "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7"
FASHION_MNIST_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip

_OPENING = threading.Lock()
_DAMAGED = (OSError, EOFError, zlib.error)


@dataclass(frozen=True)
class _Part:
    name: str
    pictures: NDArray[np.uint8]  # [n, height, width]
    labels: NDArray[np.uint8]  # [n]


def is_idx_folder(folder: str) -> bool:
    """Whether any of the four files lies in a folder."""
    return any(_path(folder, name) for name in _FILES)


class IdxCatalogue(Catalogue):
    """Presents a data set in the layout of MNIST as rows of `id,articleType`, and its pictures as PNG files.

    Ids count through both parts, the training part first; all other columns are missing. The class of a label is a line
    of `classes.txt` beside the files; Fashion-MNIST is recognised and needs none.
    """

    def __init__(self, folder: str) -> None:
        """Finds the files, and reads nothing of them.

        Raises:
            CatalogueError: one is missing.
        """
        self._folder = folder
        found = {name: _path(folder, name) for name in _FILES}
        if missing := [name for name, path in found.items() if path is None]:
            raise CatalogueError(
                f"{folder}: there is no {' and no '.join(missing)}, plain or with .gz. A data set in the layout of "
                f"MNIST has the four files {', '.join(_FILES)}; copy all of them."
            )
        self._paths = {name: str(path) for name, path in found.items()}
        self._opened: tuple[_Part, ...] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None}

    def tables(self) -> Sequence[str]:
        return ("styles.csv",)

    def open_table(self, name: str) -> BinaryIO:
        """Returns the rows as `styles.csv` would hold them.

        Raises:
            CatalogueError: a file is damaged or is not what its name says, files of one part disagree, or a label has
                no name.
        """
        parts = self._parts()
        names = self._names(parts)
        labels = (names[label] for part in parts for label in part.labels.tolist())
        lines = (f"{number},{label}\n" for number, label in enumerate(labels))
        return io.BytesIO(f"{ID},{COLUMN}\n{''.join(lines)}".encode())

    def picture_names(self, row: "Row") -> Sequence[str]:
        return (row.id,)

    def read_file(self, name: str) -> bytes:
        """Returns a picture as a grey PNG without compression: its bytes depend on no version of a compressor.

        The split rests on them.

        Raises:
            OSError: the files cannot be read any more, or there is none of this name.
        """
        try:
            found = self._place(name)
        except CatalogueError as error:
            raise OSError(str(error)) from error
        if found is None:
            raise FileNotFoundError(name)
        part, index = found
        content = io.BytesIO()
        Image.fromarray(part.pictures[index]).save(content, "PNG", compress_level=0)
        return content.getvalue()

    def part_of(self, product: str) -> str | None:
        found = self._place(product)
        return found[0].name if found else None

    @property
    def has_parts(self) -> bool:
        return True

    def digest(self) -> str:
        """Returns hex digits that change when the content of a file does."""
        parts = []
        for path in (*self._paths.values(), os.path.join(self._folder, NAMES_FILE)):
            if os.path.exists(path):
                with readable(path), open_file(path) as file:
                    parts.append(hashlib.file_digest(file, "sha256").digest())
        return combined_digest(parts)

    def _parts(self) -> tuple[_Part, ...]:
        if self._opened is None:
            self._opened = tuple(self._part(prefix, name) for prefix, name in _PARTS.items())
        return self._opened

    def _part(self, prefix: str, name: str) -> _Part:
        pictures, labels = (self._array(f"{prefix}-{kind}", kind) for kind in (_PICTURES, _LABELS))
        if len(pictures) != len(labels):
            raise CatalogueError(
                f"{self._folder}: {prefix}-{_PICTURES} holds {len(pictures):,} pictures and {prefix}-{_LABELS} "
                f"{len(labels):,} labels. They are not of one data set; copy both again."
            )
        return _Part(name, pictures, labels)

    def _array(self, name: str, kind: str) -> NDArray[np.uint8]:
        path = self._paths[name]
        with _OPENING:  # or each thread would unpack the file for itself
            return _mapped(path, _DIMENSIONS[kind], _stamp(path))

    def _names(self, parts: tuple[_Part, ...]) -> tuple[str, ...]:
        path = os.path.join(self._folder, NAMES_FILE)
        if os.path.exists(path):
            names, source = _read_names(path), path
        elif hashlib.sha256(parts[0].labels.tobytes()).hexdigest() == _FASHION_MNIST:
            names, source = FASHION_MNIST_NAMES, "Fashion-MNIST"
        else:
            raise CatalogueError(
                f"{self._folder}: its labels are not Fashion-MNIST's, and without {NAMES_FILE} they have no names. "
                "Write it beside them: the class of each label, one a line, that of label 0 first."
            )
        for prefix, part in zip(_PARTS, parts, strict=True):
            beyond = np.flatnonzero(part.labels >= len(names))
            if len(beyond):
                raise CatalogueError(
                    f"{self._paths[f'{prefix}-{_LABELS}']}: label {part.labels[beyond[0]]} at position {beyond[0]:,} "
                    f"has no name among the {len(names)} of {source}. Copy the file again, or name it in {NAMES_FILE}."
                )
        return names

    def _place(self, product: str) -> tuple[_Part, int] | None:
        """The part of a product, and its position there."""
        index = int(product) if product.isdecimal() else -1
        if product != str(index):  # 007 is not the id of a product that the table calls 7
            return None
        for part in self._parts():
            if index < len(part.labels):
                return part, index
            index -= len(part.labels)
        return None


def _path(folder: str, name: str) -> str | None:
    """Where a file lies; plain before gzipped, for it can be mapped as it is."""
    paths = (os.path.join(folder, name + suffix) for suffix in ("", ".gz"))
    return next((path for path in paths if os.path.isfile(path)), None)


def _read_names(path: str) -> tuple[str, ...]:
    try:
        with open_file(path) as file:
            names = [line.decode("utf-8").strip() for line in lines_of(file, path)]
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{path}: cannot be read ({error}). Write one class a line, in UTF-8.") from error
    for number, name in enumerate(names, start=1):
        if not name or set(name) & set(',"') or name in names[: number - 1]:
            raise CatalogueError(
                f"{path}, line {number}: {name!r} is not the name of a class. Give each label one of its own, without "
                "commas or quotation marks, and leave no line empty."
            )
    return tuple(names)


def _stamp(path: str) -> tuple[int, int]:
    """Size and time of a file, or zeros if it is gone."""
    try:
        status = os.stat(path)
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=8)
def _mapped(path: str, dimensions: int, stamp: tuple[int, int]) -> NDArray[np.uint8]:
    """The array in an idx file, read from disk where it is looked at; a gzipped one is unpacked to a temporary file.

    `stamp`, its size and time, has a changed file read anew.
    """
    try:
        with open_file(path) as file:
            zipped = file.read(len(_GZIP)) == _GZIP
        with tempfile.TemporaryFile() if zipped else open(path, "rb") as file:
            if zipped:
                with gzip.open(path) as packed:
                    shutil.copyfileobj(packed, file)
            # What is mapped stays there when the file is closed, and a temporary one is gone with its last array.
            return np.memmap(file, np.uint8, mode="r", **_layout(path, file, dimensions))
    except _DAMAGED as error:
        raise CatalogueError(f"{path}: cannot be read ({error}). Copy the file again.") from error


def _layout(path: str, file: IO[bytes], dimensions: int) -> dict[str, Any]:
    """Where in a file the array begins, and its shape."""
    file.seek(0)
    header = file.read(4 + 4 * dimensions)
    expected = bytes((0, 0, _UNSIGNED_BYTES, dimensions))
    if header[:4] != expected:
        raise CatalogueError(
            f"{path}: begins with {header[:4].hex(' ')}; an idx file of bytes in {dimensions} dimensions begins with "
            f"{expected.hex(' ')}. Copy the file again."
        )
    shape = struct.unpack(f">{dimensions}I", header[4:]) if len(header) == 4 + 4 * dimensions else (0,)
    size, needed = file.seek(0, os.SEEK_END), len(header) + math.prod(shape)
    if size != needed or not math.prod(shape):
        raise CatalogueError(
            f"{path}: holds {size:,} bytes, and its header announces {needed:,} in the shape {shape}. Copy it again."
        )
    return {"offset": len(header), "shape": shape}
