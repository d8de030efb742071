"""The first Beam steps of ingest: a few thousand rows at a time, from the table to examples in scratch files.

Beam hands over chunks of rows and what divides them, never pictures: its local runner holds everything between two
steps in memory, and a full-resolution catalogue would not fit. So a step writes the pictures where it has judged them.
"""

import os
import posixpath
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count, islice

import apache_beam as beam
import numpy as np
from numpy.typing import NDArray
from tfx.dsl.io import fileio

from components.ingest.corrections import Corrections
from components.ingest.example import serialized
from components.ingest.faults import Fault
from components.ingest.judge import IngestSettings, Product, columns_of, judge, judge_further
from components.ingest.outsiders import Draw
from components.ingest.source import Catalogue
from components.ingest.table import Row, read_rows
from components.ingest.tally import Tally, merged
from components.progress import report
from components.transform.taxonomy import NO_CLASS, Taxonomy

ROWS_PER_CHUNK = 2048

# Small pictures take less time than handing them to a thread, so threads get several at once.
_ROWS_PER_TASK = 32
_MOST_THREADS = 8

Chunk = tuple[int, list[Row | Fault]]
Judged = tuple[Tally, NDArray[np.void]]  # of a chunk; its products, of `product_columns`


@dataclass(frozen=True)
class Ingest:
    """What every step knows: where to read, how to judge, where to write, how many rows there are, and are not.

    `drawn` says which rows of no class are read; None where the recipe wants none.
    """

    catalogue: Catalogue
    taxonomy: Taxonomy
    settings: IngestSettings
    split_folders: Mapping[str, str]
    scratch: str
    quarantine: str
    rows: int
    drawn: Draw | None = None
    passed: Mapping[str, int] = field(default_factory=dict)
    corrections: Corrections = field(default_factory=Corrections)

    def table(self, passed: Counter[str] | None = None) -> Iterator[Row | Fault]:
        """Reads the rows as corrected, from the first; counts those that are passed over."""
        rows = read_rows(self.catalogue, self.taxonomy.fields, self.settings.kept, passed)
        return self.corrections.apply(rows)

    def scratch_file(self, chunk: int) -> str:
        """Where the examples of a chunk lie, one after the other, until they are written to their splits."""
        return posixpath.join(self.scratch, f"chunk-{chunk:06d}")


class ReadRows(beam.DoFn):
    """Reads the table into numbered chunks of rows."""

    def __init__(self, job: Ingest) -> None:
        self._job = job

    def process(self, _: int) -> Iterator[Chunk]:
        rows = self._job.table()
        for number in count():
            chunk = list(islice(rows, ROWS_PER_CHUNK))
            if not chunk:
                return
            yield number, chunk


class JudgeAndWrite(beam.DoFn):
    """Decides about the rows of a chunk, writes their examples to its scratch file, and yields what divides them.

    A chunk that is tried again writes the same bytes to the same name, so retries and backup workers do no harm.
    """

    def __init__(self, job: Ingest) -> None:
        self._job = job
        self._done = 0

    def setup(self) -> None:
        # Decoding releases the interpreter lock.
        self._threads = ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS))

    def teardown(self) -> None:
        self._threads.shutdown()

    def process(self, chunk: Chunk) -> Iterator[Judged]:
        number, rows = chunk
        tasks = [rows[start : start + _ROWS_PER_TASK] for start in range(0, len(rows), _ROWS_PER_TASK)]
        tallies, parts, end = [], [], 0
        unfinished = f"{self._job.scratch_file(number)}-{uuid.uuid4().hex}"
        with fileio.open(unfinished, "wb") as file:
            for tally, products, examples in self._threads.map(self._judged, tasks):
                for example in examples:
                    file.write(example)
                products["chunk"] = number
                products["start"] = end + np.cumsum(products["length"]) - products["length"]
                end += int(products["length"].sum())
                parts.append(products)
                tallies.append(tally)
                self._done += tally.rows
                report("pictures", self._done, self._job.rows)
        if end:  # an empty file would not be there
            fileio.rename(unfinished, self._job.scratch_file(number), overwrite=True)
        yield merged(tallies), np.concatenate(parts)

    def _judged(self, rows: list[Row | Fault]) -> tuple[Tally, NDArray[np.void], list[bytes]]:
        """The tally of some rows, and their products with an example each."""
        job, tally, products = self._job, Tally(), []
        for row in rows:
            outcome = (
                row if isinstance(row, Fault) else judge(row, job.catalogue, job.taxonomy, job.settings, job.drawn)
            )
            tally.add(outcome)
            if isinstance(row, Row):
                tally.repaired.update(row.repaired)
            if isinstance(outcome, Product):
                products += [outcome, *self._further(outcome, tally)]
        examples = [serialized(product) for product in products]
        columns = columns_of(products, job.taxonomy, job.settings.together, job.drawn)
        columns["length"] = list(map(len, examples))
        return tally, columns, examples

    def _further(self, product: Product, tally: Tally) -> Iterator[Product]:
        """The examples of a product's other pictures, where the recipe takes them; they are counted in any case."""
        job = self._job
        if product.class_name == NO_CLASS:  # of which the main picture is enough
            return
        names = job.catalogue.picture_names(product.row)[1:]
        tally.further += len(names)
        if job.settings.catalogue.pictures == "all":
            for number, name in enumerate(names, start=2):
                outcome = judge_further(product, name, number, job.catalogue, job.settings.picture)
                tally.add(outcome, is_row=False)
                if isinstance(outcome, Product):
                    yield outcome
