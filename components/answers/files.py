"""Files of answers: written row by row, whole after any end of the process, and gone on with later."""

import csv
import io
import os
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from components.answers.rows import Format, Key, Row
from components.errors import AnswerError
from serving.disk import locked, replacing


class Lines:
    """CSV with a header, or JSON lines. All rows have the same `model`.

    A last line without its end was half-written when a process was killed: it is cut off.

    Attributes:
        done: keys of the rows that had no error before.
        failed: keys of those that had one, with their number; a new answer takes its place.
        key: what a row is about.
        path: where they are, None for a stream.
    """

    def __init__(self, file: Path | BinaryIO, rows: Format, model: str) -> None:
        """Opens the file, made if missing, and reads what it holds already; a stream is only written to.

        Raises:
            AnswerError: it cannot be written, is in use, or holds something else or answers of another model.
        """
        self.done: set[Key] = set()
        self.failed: dict[Key, int] = {}
        self._rows, self._model, self.key = rows, model, rows.key
        self._late: dict[int, bytes] = {}  # answers to what had failed, by the number of the row
        self._path = self.path = file if isinstance(file, Path) else None
        with ExitStack() as held:
            self._file = held.enter_context(_opened(file)) if isinstance(file, Path) else file
            if self._path is None or not self._resume(self._path):
                self._put(rows.header)
            self._held = held.pop_all()

    def write(self, row: Row) -> None:
        """Adds a row, or puts it in the place of one that had an error."""
        key, line = self.key(row), self._rows.encode(row)
        if key in self.failed:
            self._late[self.failed[key]] = line
        else:
            self._put(line)

    def close(self) -> None:
        """Has all that was written reach the disk."""
        with explained(self._path), self._held:
            if self._path is not None and self._late:
                self._file.seek(0)
                with replacing(self._path) as file:
                    file.writelines(self._late.get(number, line) for number, line in self._lines())

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """The lines with their numbers; the header's is below 0."""
        return enumerate(self._file, start=-1 if self._rows.header else 0)

    def _put(self, line: bytes) -> None:
        with explained(self._path):
            self._file.write(line)
            self._file.flush()

    def _resume(self, path: Path) -> bool:
        """Reads what is there; returns whether there is anything."""
        whole = 0
        with explained(path):
            for number, line in self._lines():
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                try:
                    if number >= 0:
                        self._keep(path, self._rows.decode(line), number)
                    elif line != self._rows.header:
                        raise ValueError("other columns")
                except (ValueError, TypeError, csv.Error) as error:
                    raise AnswerError(
                        f"{path}: holds something other than these answers. Remove it, or give another --out."
                    ) from error
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
            self.failed[self.key(row)] = number
        else:
            self.done.add(self.key(row))


class Vectors(Lines):
    """The column `embedding` in a .npy file, float32 [n, d], and beside it a CSV file that names their pictures.

    The two have the same rows: `vectors.npy` and `vectors.pictures.csv`. A picture with an error has a row of zeros.
    numpy can load the file at any time.
    """

    def __init__(self, path: Path, rows: Format, model: str) -> None:
        """Opens both files, of the vectors and of the rows that name the pictures, and reads what they hold already.

        Raises:
            AnswerError: as for `Lines`, or the two do not belong together.
        """
        super().__init__(path.with_suffix(".pictures.csv"), rows, model)
        self._count, self._width = len(self.done) + len(self.failed), 0
        with self._held as held:
            self.path, self._vectors = path, held.enter_context(_opened(path))
            with explained(path):
                if self.done:  # or no vector was ever written, whose width could be known
                    self._width = self._read_width()
                self._vectors.truncate(self._size if self._width else 0)
                self._describe()
            self._held = held.pop_all()

    def write(self, row: Row) -> None:
        vector: array[float] = row["embedding"]
        place = self.failed.get(self.key(row), self._count)
        if vector and self._width not in (0, len(vector)):
            raise AnswerError(f"{self.path}: holds vectors of {self._width} numbers, not {len(vector)}. Remove it.")
        self._count, self._width = max(self._count, place + 1), self._width or len(vector)
        with explained(self.path):
            if self._width:
                # What is left out before it the file system fills with zeros.
                content = vector.tobytes() if vector else bytes(4 * self._width)
                os.pwrite(self._vectors.fileno(), content, _NPY_HEAD + 4 * self._width * place)
                os.ftruncate(self._vectors.fileno(), self._size)
            self._describe()
        # After the vector: a process killed between the two leaves one too many, which is cut off when it goes on.
        super().write(row)

    @property
    def _size(self) -> int:
        return _NPY_HEAD + 4 * self._width * self._count

    def _read_width(self) -> int:
        from numpy.lib import format as npy

        try:
            npy.read_magic(self._vectors)
            (_, width), _, dtype = npy.read_array_header_1_0(self._vectors)
        except ValueError:
            width, dtype = 0, None
        size = os.fstat(self._vectors.fileno()).st_size
        if not width or dtype != "float32" or size < _NPY_HEAD + 4 * width * self._count:
            raise AnswerError(f"{self.path}: has fewer vectors than {self._path} has pictures. Remove both.")
        return int(width)

    def _describe(self) -> None:
        import numpy as np

        header, shape = io.BytesIO(), (self._count, self._width)
        described = {"descr": np.dtype("float32").str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, described)
        os.pwrite(self._vectors.fileno(), header.getvalue(), 0)


_NPY_HEAD = 128  # numpy leaves room in it for any number of rows


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Keeps other commands from writing to the same file or folder.

    Raises:
        AnswerError: one does already.
    """

    def refuse(holder: str) -> None:
        raise AnswerError(f"{out}: another command is writing it ({holder}). Wait for it, or give another --out.")

    with locked(out.with_name(f".{out.name}.lock"), refuse):
        yield


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with ExitStack() as held:
        with explained(path, "Give another --out."):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and not path.is_file():
                raise AnswerError(f"{path}: is not a file. Give another --out.")
            held.enter_context(alone(path))
            # Neither of open's modes reads, writes anywhere and makes the file.
            file = held.enter_context(os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b"))
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def explained(
    path: Path | None, remedy: str = "What was written stays; fix that and give the command again to go on."
) -> Iterator[None]:
    """Turns what the file system refuses into an AnswerError."""
    try:
        yield
    except OSError as error:
        if path is None:
            raise
        raise AnswerError(f"{path}: cannot be written ({error.strerror}). {remedy}") from error
