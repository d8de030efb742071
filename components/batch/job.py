"""A batch job as a whole: from a catalogue and a model to a folder of answers, which appears when it is complete."""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from components.batch.settings import read_settings
from components.batch.shards import ROWS_PER_SHARD, Batch, infer
from components.digest import code_digest
from components.errors import AnswerError, CatalogueError, FashionError, causes
from components.ingest.catalogue import open_catalogue
from components.ingest.settings import Layout
from components.ingest.table import read_rows
from components.publish.store import model_digest
from serving.disk import locked, replacing

SUMMARY_FILE = "summary.json"

_JOB_FILE = ".job.json"


@dataclass(frozen=True)
class Outcome:
    """What came of a batch.

    Attributes:
        rows: how many the table has; each has a line.
        labels: label to how many rows have it, the most frequent first.
        reasons: why rows have no label, to how many, the most frequent first.
        resumed: rows that an earlier try had answered.
        already: whether the very same answers were there; nothing was done then.
    """

    rows: int
    labels: dict[str, int]
    reasons: dict[str, int]
    resumed: int = 0
    already: bool = False


def run_batch(
    data: Path,
    model_dir: Path,
    out: Path,
    form: str,
    beam_args: Sequence[str],
    overwrite: bool = False,
    layout: Layout | None = None,
) -> Outcome:
    """Asks a model about every row of a catalogue.

    Shards are written beside `out`, in a hidden folder that is renamed when all are there. A try that was stopped
    leaves that folder, and the same call goes on with it: the same catalogue, model, format and code.

    Args:
        data: the catalogue, a folder or a zip.
        model_dir: a SavedModel with the serving contract; see `read_settings`.
        out: the folder to make; `predictions-*-of-*.<form>` with one line for each row, in the table's order, and
            `summary.json`.
        form: csv, jsonl or parquet.
        beam_args: options of the Beam pipeline, e.g. `--runner=FnApiRunner`. Workers elsewhere have to see all folders.
        overwrite: whether an earlier batch in `out` is replaced.
        layout: how to read the catalogue; None is as the model's recipe says.

    Raises:
        CatalogueError: the catalogue cannot be read, has no rows, or changed meanwhile.
        AnswerError: the model cannot be used, or `out` cannot be written.
    """
    if not (model_dir / "saved_model.pb").is_file():
        raise AnswerError(
            f"{model_dir}: is no SavedModel (it has no saved_model.pb). Give a version that was published."
        )
    settings = read_settings(model_dir)
    picture, layout = settings.picture, layout or settings.catalogue
    catalogue = open_catalogue(str(data), layout)
    rows = sum(1 for _ in read_rows(catalogue, ()))
    if not rows:
        raise CatalogueError(f"{data}: {catalogue.tables()[0]} has a header and no rows. Add a row for each product.")
    job = {
        "catalogue": catalogue.digest(),
        "model": model_digest(model_dir),
        "format": form,
        "picture": picture.model_dump(),
        "layout": layout.model_dump(mode="json"),
        "rows_per_shard": ROWS_PER_SHARD,
        "code": code_digest("components.batch.job"),
    }
    with _explained(out):
        done = _earlier(out, job, overwrite)
        if done:
            return done
        folder = out.parent / f".{out.name}.unfinished"
        with locked(out.parent / f".{out.name}.lock", partial(_refuse, out)):
            _begin(folder, job)
            batch = Batch(catalogue, model_dir.absolute(), picture, form, folder.absolute(), rows)
            resumed = batch.answered
            _run(batch, beam_args)
            labels, reasons = (dict(counted.most_common()) for counted in batch.counts().values())
            outcome = Outcome(rows, labels, reasons, resumed)
            if batch.answered != rows or catalogue.digest() != job["catalogue"]:
                raise CatalogueError(f"{data}: changed while it was read. Run again when nobody writes to it.")
            _finish(batch, out, job, outcome, str(data))
    return outcome


def _earlier(out: Path, job: dict[str, Any], overwrite: bool) -> Outcome | None:
    """What lies in `out` if it is what this job would make.

    Raises:
        AnswerError: something else lies there, and is not to be replaced.
    """
    if not out.exists():
        return None
    try:
        summary = json.loads((out / SUMMARY_FILE).read_bytes())
        same = summary["job"] == job
    except (OSError, ValueError, LookupError, TypeError):
        raise AnswerError(f"{out}: is there, and holds no batch of answers. Give another --out.") from None
    if same:
        return Outcome(summary["rows"], summary["labels"], summary["reasons"], already=True)
    if not overwrite:
        raise AnswerError(
            f"{out}: holds answers of another catalogue, model or format. Give --overwrite, or another --out."
        )
    return None


def _begin(folder: Path, job: dict[str, Any]) -> None:
    """Clears away what an earlier try left, unless it was the same job."""
    written = folder / _JOB_FILE
    if not written.exists() or json.loads(written.read_bytes()) != job:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with replacing(written) as file:
            file.write(json.dumps(job).encode())


def _run(batch: Batch, beam_args: Sequence[str]) -> None:
    """Runs the pipeline to its end.

    Raises:
        FashionError: raised by a step, unwrapped from what Beam puts around it.
    """
    try:
        with beam.Pipeline(options=PipelineOptions(list(beam_args))) as pipeline:
            infer(pipeline, batch)
    except Exception as error:
        for cause in causes(error):
            if isinstance(cause, FashionError | OSError):
                raise cause from error
        raise


def _finish(batch: Batch, out: Path, job: dict[str, Any], outcome: Outcome, data: str) -> None:
    """Adds the summary, gives the folder its name, and then clears away what only a further try would have needed."""
    about = {"data": data, "model": str(batch.model_dir), "rows": outcome.rows}
    counts = {"labels": outcome.labels, "reasons": outcome.reasons}
    (batch.folder / SUMMARY_FILE).write_text(json.dumps({**about, **counts, "job": job}, indent=2) + "\n")
    replaced = out.parent / f".{out.name}.replaced"
    shutil.rmtree(replaced, ignore_errors=True)
    if out.exists():
        os.rename(out, replaced)
    os.rename(batch.folder, out)
    shutil.rmtree(replaced, ignore_errors=True)
    for path in out.glob(".*"):
        path.unlink()


def _refuse(out: Path, holder: str) -> None:
    raise AnswerError(f"{out}: another batch is writing there ({holder}). Wait for it, or give another --out.")


@contextmanager
def _explained(out: Path) -> Iterator[None]:
    """Turns what the file system refuses into a AnswerError."""
    try:
        yield
    except OSError as error:
        raise AnswerError(
            f"{error.filename or out}: {error.strerror or error}. Mend that, and give the same command again: "
            "it goes on where it was."
        ) from error
