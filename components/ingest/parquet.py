"""Reads Parquet tables through pyarrow, batch by batch."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.errors import CatalogueError
from components.ingest.columns import find_columns
from components.ingest.dialect import Header
from components.ingest.records import Record
from components.ingest.settings import Layout
from components.ingest.table_format import IsRecord, Table, seekable

_ROWS = 4096


class ParquetTable(Table):
    """A Parquet file; what is neither text, number nor date in it is passed over."""

    def __init__(self, open_table: Callable[[], BinaryIO], place: str, layout: Layout, needed: Collection[str]) -> None:
        self._open, self._place = open_table, place
        with self._parquet() as file:
            names = [field.name for field in file.schema_arrow if _is_cell(field.type)]
            self._names = names
            start = next(self._batches(file, 100), [])
        super().__init__(place, Header(0, names, find_columns(names, layout, needed), start))

    def records(self, is_record: IsRecord) -> Iterator[Record]:
        number = 1
        with self._parquet() as file:
            for batch in self._batches(file, _ROWS):
                for values in batch:
                    number += 1
                    yield Record(number, values)

    def describe(self) -> dict[str, str]:
        return {"format": "Parquet"}

    @contextmanager
    def _parquet(self) -> Iterator[Any]:
        with seekable(self._open()) as content:
            try:
                yield pq.ParquetFile(content)
            except (pa.ArrowException, OSError) as error:
                raise CatalogueError(f"{self._place}: cannot be read as Parquet ({error}). Write it again.") from error

    def _batches(self, file: Any, size: int) -> Iterator[list[list[str]]]:
        for batch in file.iter_batches(size, columns=self._names):
            columns = (pc.fill_null(pc.cast(batch.column(name), pa.string()), "").to_pylist() for name in self._names)
            yield list(map(list, zip(*columns, strict=True)))


def _is_cell(kind: Any) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return not (pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
