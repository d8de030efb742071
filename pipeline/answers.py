"""Files of answers about pictures: written row by row, whole after any end of the process, and gone on with later."""

import csv
import io
import json
import os
import re
import struct
import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from components.errors import AnswerError
from components.spreadsheet import unmarked, write_rows
from serving.disk import locked, replacing

Row = Mapping[str, Any]


class Lines:
    """CSV with a header, or JSON lines. One of the columns is `model`, the same in all rows.

    A last line without its end was half-written when a process was killed: it is cut off.

    Attributes:
        pictures: names of those that were answered without an error before.
        failed: names of those that had an error, with the number of their row; a new answer takes its place.
    """

    def __init__(self, file: Path | BinaryIO, form: str, columns: Sequence[str], model: str) -> None:
        """Opens the file, and reads what it holds already.

        Args:
            file: is made if missing; or a stream, which is only written to.
            form: "csv" or "jsonl".
            columns: keys of the rows, in their order.
            model: who answers.

        Raises:
            AnswerError: it cannot be written, is in use, or holds something else or answers of another model.
        """
        self.pictures: set[str] = set()
        self.failed: dict[str, int] = {}
        self._form, self._columns, self._model = form, tuple(columns), model
        self._mended: dict[int, bytes] = {}
        self._path = file if isinstance(file, Path) else None
        self._held = ExitStack()
        self._file = self._held.enter_context(_opened(file)) if isinstance(file, Path) else file
        try:
            begun = self._path is not None and self._resume(self._path)
        except AnswerError:
            self._held.close()
            raise
        if not begun and form == "csv":
            self._put(_csv_line(self._columns))

    def write(self, row: Row) -> None:
        """Adds the answer about one picture, by column; `picture` and `error` are among them."""
        values = {name: self._model if name == "model" else row[name] for name in self._columns}
        if self._form == "csv":
            line = _csv_line(values.values())
        else:
            line = (json.dumps(values, ensure_ascii=False, default=_as_list) + "\n").encode()
        if row["picture"] in self.failed:
            self._mended[self.failed[row["picture"]]] = line
        else:
            self._put(line)

    def close(self) -> None:
        """Has all that was written reach the disk."""
        if self._path is not None:
            with _explained(self._path):
                self._mend(self._path)
                self._held.close()

    def _put(self, line: bytes) -> None:
        with _explained(self._path):
            self._file.write(line)
            self._file.flush()

    def _mend(self, path: Path) -> None:
        """Puts the answers about pictures that had an error in the places of these, in one step."""
        if not self._mended:
            return
        self._file.seek(0)
        lines = enumerate(self._file, start=-(self._form == "csv"))
        with replacing(path) as file:
            file.writelines(self._mended.get(number, line) for number, line in lines)

    def _resume(self, path: Path) -> bool:
        whole = 0
        with _explained(path):
            for number, line in enumerate(self._file, start=-(self._form == "csv")):
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                try:
                    row = self._parsed(line.decode(), number)
                except (ValueError, TypeError, csv.Error) as error:
                    raise AnswerError(
                        f"{path}: holds something other than these answers. Remove it, or give another --out."
                    ) from error
                if row:
                    self._keep(path, row, number)
            self._file.seek(whole)
            self._file.truncate()
        return whole > 0

    def _keep(self, path: Path, row: Row, number: int) -> None:
        if row["model"] != self._model:
            raise AnswerError(
                f"{path}: holds answers of {row['model']}, and now {self._model} answers. Ask the former again, with "
                "--model-version, or give another --out."
            )
        if row["error"]:
            self.failed[row["picture"]] = number
        else:
            self.pictures.add(row["picture"])

    def _parsed(self, line: str, number: int) -> Row | None:
        """One row of a file, None for its header, or ValueError."""
        if self._form == "csv":
            [cells] = csv.reader([line], strict=True)
            values = tuple(map(unmarked, cells))
            row: Row = dict(zip(self._columns, values, strict=True))
            if number < 0 and values != self._columns:
                raise ValueError("other columns")
            return row if number >= 0 else None
        row = json.loads(line)
        if tuple(row) != self._columns:
            raise ValueError("other keys")
        return row


class Vectors:
    """The column `embedding` in a .npy file, float32 [n, d], and beside it a CSV file that names their pictures.

    The two have the same rows: `vectors.npy` and `vectors.pictures.csv`. A picture with an error has a row of zeros.
    numpy can load the file at any time; none is needed to write it. Attributes and methods are those of `Lines`.
    """

    def __init__(self, path: Path, model: str) -> None:
        """Opens both files, and reads what they hold already.

        Raises:
            AnswerError: as for `Lines`, or the two do not belong together.
        """
        self._names = path.with_suffix(".pictures.csv")
        self._lines = Lines(self._names, "csv", ("picture", "model", "error"), model)
        self._path, self._held = path, ExitStack()
        self._file = self._held.enter_context(_opened(path))
        self.pictures, self.failed = self._lines.pictures, self._lines.failed
        self._count, self._width = len(self.pictures) + len(self.failed), 0
        with _explained(path):
            if self.pictures:  # or no vector was ever written, whose width could be known
                self._width = self._read_width()
            self._cut()

    def write(self, row: Row) -> None:
        vector, place = row["embedding"], self.failed.get(row["picture"], self._count)
        if vector and self._width not in (0, len(vector)):
            raise AnswerError(f"{self._path}: holds vectors of {self._width} numbers, not {len(vector)}. Remove it.")
        self._count = max(self._count, place + 1)
        with _explained(self._path):
            self._width = self._width or len(vector)
            if self._width:
                # What is left out before it the file system fills with zeros.
                content = vector.tobytes() if vector else bytes(4 * self._width)
                os.pwrite(self._file.fileno(), content, _NPY_HEAD + 4 * self._width * place)
                os.ftruncate(self._file.fileno(), _NPY_HEAD + 4 * self._width * self._count)
                os.pwrite(self._file.fileno(), _npy_header(self._count, self._width), 0)
        # After the vector: a process killed between the two leaves one too many, which is cut off when it goes on.
        self._lines.write(row)

    def close(self) -> None:
        if not self._width:
            with _explained(self._path):
                self._file.write(_npy_header(self._count, 0))
        with _explained(self._path):
            self._held.close()
        self._lines.close()

    def _read_width(self) -> int:
        found = re.search(rb"'descr': '([^']+)'.*'shape': \(\d+, (\d+)\)", self._file.read(_NPY_HEAD))
        width = int(found[2]) if found and found[1].decode() == _NPY_TYPE else 0
        size = os.fstat(self._file.fileno()).st_size
        if not width or size < _NPY_HEAD + 4 * width * self._count:
            raise AnswerError(f"{self._path}: has fewer vectors than {self._names} has pictures. Remove both.")
        return width

    def _cut(self) -> None:
        end = _NPY_HEAD + 4 * self._width * self._count if self._width else 0
        self._file.seek(end)
        self._file.truncate()
        if end:
            os.pwrite(self._file.fileno(), _npy_header(self._count, self._width), 0)


Writer = Lines | Vectors

_NPY_HEAD = 128
_NPY_TYPE = "<f4" if sys.byteorder == "little" else ">f4"


def _npy_header(count: int, width: int) -> bytes:
    described = f"{{'descr': '{_NPY_TYPE}', 'fortran_order': False, 'shape': ({count}, {width}), }}"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", _NPY_HEAD - 10) + described.ljust(_NPY_HEAD - 11).encode() + b"\n"


def plain(name: str) -> str:
    """A file's name as valid text of one line: file systems allow more."""
    return name.encode("utf-8", "backslashreplace").decode().replace("\r", "\\r").replace("\n", "\\n")


def _csv_line(values: Iterable[object]) -> bytes:
    stream = io.StringIO(newline="")
    write_rows(stream, [values])
    return stream.getvalue().encode()


def _as_list(vector: "array[float]") -> list[float]:
    return [float(f"{value:.9g}") for value in vector]  # as many digits as float32 has


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    def refuse(holder: str) -> None:
        raise AnswerError(f"{path}: another command is writing it ({holder}). Wait for it, or give another --out.")

    with ExitStack() as held:
        with _explained(path, "Give another --out."):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and not path.is_file():
                raise AnswerError(f"{path}: is not a file. Give another --out.")
            held.enter_context(locked(path.with_name(f".{path.name}.lock"), refuse))
            # Neither of open's modes reads, writes anywhere and makes the file.
            file = held.enter_context(os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b"))
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _explained(
    path: Path | None, remedy: str = "What was written stays; mend that and give the command again to go on."
) -> Iterator[None]:
    """Turns what the file system refuses into an AnswerError."""
    try:
        yield
    except OSError as error:
        if path is None:
            raise
        raise AnswerError(f"{path}: cannot be written ({error.strerror}). {remedy}") from error
