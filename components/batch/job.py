"""A batch job as a whole: from inputs and a model to a folder of answers, which appears when it is complete."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from fashion_client import ClientError, Thresholds

from components.answers.ask import model_name
from components.answers.files import alone, explained
from components.answers.inputs import Inputs, Products
from components.answers.rows import PREDICTION, TOP, Format, Row
from components.answers.settings import read_settings
from components.batch.fill import fill_table
from components.batch.review import review
from components.batch.shards import PER_SHARD, Batch, Shards, infer
from components.digest import code_digest
from components.errors import AnswerError, CatalogueError, FashionError, causes
from components.spreadsheet import csv_lines
from serving.disk import replacing

SUMMARY_FILE = "summary.json"

_JOB_FILE = ".job.json"


@dataclass(frozen=True)
class Outcome:
    """How a batch ended: rows by label, by reason for having none, and by decision, the most frequent first."""

    rows: int
    labels: dict[str, int]
    reasons: dict[str, int]
    decisions: dict[str, int]
    resumed: int = 0  # rows that an earlier try had answered: all, if the very same answers were there


def run_batch(
    inputs: Inputs,
    model_dir: Path,
    out: Path,
    form: str,
    beam_args: Sequence[str],
    overwrite: bool = False,
    top: int = TOP,
    log: Mapping[str, Any] | None = None,
    thresholds: Thresholds | None = None,
    look: Path | None = None,
    fill: Path | None = None,
) -> Outcome:
    """Asks a model about every input.

    Shards are written beside `out`, in a hidden folder that is renamed when all are there. A try that was stopped
    leaves that folder, and the same call goes on with it: the same inputs, model, format and code.

    Args:
        inputs: what to ask about.
        model_dir: a SavedModel with the serving contract.
        out: the folder to make; `predictions-*-of-*.<form>` with one line for each input, in their order, and
            `summary.json`.
        form: csv, jsonl or parquet.
        beam_args: options of the Beam pipeline, e.g. `--runner=FnApiRunner`. Workers elsewhere have to see all folders.
        overwrite: whether an earlier batch in `out` is replaced.
        top: how many classes are named.
        log: arguments of an `AnswerLog` that gets a sample of the answers.
        thresholds: decide in place of the model's own.
        look: file that gets what a person should look at, see `components.batch.review`.
        fill: file that gets the catalogue's table with its empty cells filled, see `components.batch.fill`.

    Raises:
        CatalogueError: the inputs cannot be read, there are none, or they changed meanwhile.
        AnswerError: the model cannot be used, or `out` cannot be written.
    """
    settings = read_settings(model_dir)
    if fill is not None and not (settings.answered and isinstance(inputs, Products)):
        raise AnswerError(
            f"--fill: {model_dir} and {inputs} have no column in common. Give --data, and a model whose recipe has "
            "labels.column or labels.columns."
        )
    if settings.text and isinstance(inputs, Products) and log is None:  # which logs pictures
        inputs = inputs.with_names()
    job: dict[str, Any] = {
        "inputs": inputs.digest(),
        "model": model_name(model_dir),
        "format": form,
        "top": top,
        "per_shard": PER_SHARD,
        "code": code_digest("components.batch.job"),
        **({"thresholds": asdict(thresholds)} if thresholds else {}),
    }
    with explained(out), alone(out):
        rows = Format(form, inputs.columns, (*PREDICTION, *settings.keys), top)
        if out.exists() and _is_there(out, job, overwrite):
            _write_further(out, rows, inputs, look, fill, settings.answered)
            summary = json.loads((out / SUMMARY_FILE).read_bytes())
            counts = {name: summary[name] for name in ("labels", "reasons", "decisions")}
            return Outcome(summary["rows"], **counts, resumed=summary["rows"])
        folder = out.absolute().parent / f".{out.name}.unfinished"
        begin(folder, job)
        batch = Batch(inputs, sum(1 for _ in inputs), folder, model_dir.absolute(), job["model"], rows, thresholds, log)
        resumed = batch.answered
        run_shards(batch, beam_args)
        outcome = _outcome(batch, resumed)
        if outcome.rows != batch.count or inputs.digest() != job["inputs"]:
            raise CatalogueError(f"{inputs}: changed while it was read. Run again when nobody writes to it.")
        _finish(batch, out, job, outcome)
        _write_further(out, rows, inputs, look, fill, settings.answered)
    return outcome


def _write_further(
    out: Path, form: Format, inputs: Inputs, look: Path | None, fill: Path | None, answered: Mapping[str, str]
) -> None:
    """Writes what a person should look at, and the table with its empty cells filled."""

    def answers() -> Iterator[Row]:
        return (row for file in sorted(out.glob(f"predictions-*.{form.form}")) for row in form.read(file))

    if look is not None:
        with explained(look), replacing(look) as file:
            file.writelines(line.encode() for line in csv_lines(review(answers(), inputs.columns)))
    if fill is not None and isinstance(inputs, Products):
        with explained(fill), replacing(fill) as file:
            fill_table(inputs.catalogue, answers(), answered, file)


def _is_there(out: Path, job: dict[str, Any], overwrite: bool) -> bool:
    """Whether `out` holds what this job would make, and not something else that may be replaced."""
    try:
        same = bool(json.loads((out / SUMMARY_FILE).read_bytes())["job"] == job)
    except (OSError, ValueError, LookupError, TypeError):
        raise AnswerError(f"{out}: is there, and holds no batch of answers. Give another --out.") from None
    if not same and not overwrite:
        raise AnswerError(
            f"{out}: holds answers of another catalogue, model or format. Give --overwrite, or another --out."
        )
    return same


def begin(folder: Path, job: dict[str, Any]) -> None:
    """Clears away what an earlier try left, unless it was the same job."""
    written = folder / _JOB_FILE
    if not written.exists() or json.loads(written.read_bytes()) != job:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with replacing(written) as file:
            file.write(json.dumps(job).encode())


def run_shards(shards: Shards, beam_args: Sequence[str]) -> None:
    """Runs the pipeline; what a step raises comes without what Beam puts around it.

    Raises:
        AnswerError: the model cannot be used.
    """
    try:
        with beam.Pipeline(options=PipelineOptions(list(beam_args))) as pipeline:
            infer(pipeline, shards)
    except Exception as error:
        chain = list(causes(error))
        for cause in chain:
            if isinstance(cause, ClientError):
                # The first one that was raised: Beam writes the name of its step into those around it.
                first = next(each for each in reversed(chain) if isinstance(each, ClientError))
                raise AnswerError(str(first)) from error
            if isinstance(cause, FashionError | OSError):
                raise cause from error
        raise


def _outcome(batch: Batch, resumed: int) -> Outcome:
    labels, reasons, decisions = Counter[str](), Counter[str](), Counter[str]()
    for file in batch.files:
        for row in batch.format.read(file):
            (reasons if row["reason"] else labels)[row["reason"] or row["label"]] += 1
            if row["decision"]:
                decisions[row["decision"]] += 1
    parts = {"labels": labels, "reasons": reasons, "decisions": decisions}
    counts = {name: dict(counter.most_common()) for name, counter in parts.items()}
    return Outcome(labels.total() + reasons.total(), **counts, resumed=resumed)


def _finish(batch: Batch, out: Path, job: dict[str, Any], outcome: Outcome) -> None:
    """Adds the summary, gives the folder its name, and then clears away what only a further try would have needed."""
    about = {"data": str(batch.inputs), "model": str(batch.model_dir), **asdict(outcome), "job": job}
    (batch.folder / SUMMARY_FILE).write_text(json.dumps(about, indent=2) + "\n")
    replaced = out.parent / f".{out.name}.replaced"
    shutil.rmtree(replaced, ignore_errors=True)
    if out.exists():
        os.rename(out, replaced)
    os.rename(batch.folder, out)
    shutil.rmtree(replaced, ignore_errors=True)
    for path in out.glob(".*"):
        path.unlink()
