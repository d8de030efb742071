"""Asking a model about many pictures: which model, how far it is and how it ended."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import fashion_client
from fashion_client import Batches, Client, ClientError, Embedding, Prediction, Timeouts, Tls
from fashion_client.pictures import Source
from rich.console import Console
from rich.progress import track

from components.answers.ask import ask, model_name
from components.answers.files import Lines, Vectors
from components.answers.inputs import Inputs, Pictures, Products
from components.answers.rows import TOP, Format, Row
from components.errors import AnswerError
from components.ingest.settings import load_layout
from components.publish.store import serving_version, versions
from pipeline.view import quiet

SERVING = Path("runs/serving")

Method = Callable[[Client, Iterable[Source]], Iterator[Prediction] | Iterator[Embedding]]

_LISTED = 5  # errors, and files passed over, that are named at the end
_PER_PLAIN_LINE = 1000  # pictures, where nobody looks at a terminal


@dataclass(frozen=True)
class Choice:
    """Which model is asked, and how; None where nothing was said."""

    server: str | None = None
    model_name: str | None = None  # of the model on the server, or below `model`
    model: Path | None = None  # a SavedModel, a folder of versions, or one of models; `SERVING` if not said
    version: int | None = None
    label: str | None = None  # of the version, on the server
    batch_size: int = 32  # pictures in a request
    timeout: float = 60.0  # seconds for a request
    ca: Path | None = None  # this and the next two: see `fashion_client.Tls`
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True)
class Question:
    """What is asked about, and who: one version, and its name as `identify` gives it."""

    inputs: Inputs
    choice: Choice
    model: str


def open_question(images: Sequence[str], data: Path | None, reading: Path | None = None, **choice: Any) -> Question:
    """Finds what to ask about, and which version answers, whatever is published meanwhile.

    That is either images, which are files, folders and zips, or a catalogue, read as the file `reading` says or else as
    the model's recipe does. `choice` are attributes of a `Choice`.

    Raises:
        CatalogueError: the pictures or the catalogue cannot be read.
        AnswerError: there is no such model.
        click.UsageError: the options do not go together.
    """
    chosen = Choice(**choice)
    if bool(images) == bool(data):
        raise click.UsageError("Give pictures, or a catalogue with --data.")
    if reading and not data:
        raise click.UsageError("--catalogue says how to read a catalogue: give that with --data.")
    if chosen.server is not None and chosen.model is not None:
        raise click.UsageError("--server and --model: give one of them.")
    if chosen.server is not None and chosen.model_name is None:
        raise click.UsageError("--server: say with --model-name which of its models to ask.")
    if chosen.server is None and chosen.label is not None:
        raise click.UsageError("--model-label: only a server knows labels; give --server, or --model-version.")
    pictures = None if data else Pictures(images)
    chosen, model = identify(chosen)
    layout = load_layout(reading) if reading else None
    folder = None if chosen.server else chosen.model
    return Question(pictures or Products(data or Path(), folder, layout), chosen, model)


def open_writer(question: Question, out: Path | None, form: str, answer: Sequence[str], top: int = TOP) -> Lines:
    """Opens the file of answers, or the screen; see `Lines`, `Vectors` and `Format`."""
    names = question.inputs.columns
    if form == "npy" and out is not None:
        return Vectors(out, Format("csv", names, ()), question.model)
    return Lines(out or sys.stdout.buffer, Format(form, names, answer, top), question.model)


@contextmanager
def asking(choice: Choice) -> Iterator[Client]:
    """Connects to the server, or loads the model.

    Raises:
        AnswerError: there is no such model, or a question to it failed.
        click.UsageError: the choice makes no sense.
    """
    try:
        with _client(choice) as client:
            yield client
    except ClientError as error:
        raise AnswerError(str(error)) from error


def _client(choice: Choice) -> Client:
    if choice.server is None:
        folder = find_model(choice.model or SERVING, choice.model_name, choice.version)
        return _loaded(folder, Batches(rows=choice.batch_size, parallel=1))
    files = {name: value for name in ("ca", "certificate", "key") if (value := getattr(choice, name))}
    try:
        return fashion_client.connect(
            choice.server, choice.model_name or "", version=choice.version, label=choice.label,
            timeouts=Timeouts(connect=min(5.0, choice.timeout), read=choice.timeout, total=choice.timeout),
            batches=Batches(rows=choice.batch_size), tls=Tls(**files) if files else None,
        )  # fmt: skip
    except ValueError as error:  # of the address, of version and label, or of files
        raise click.UsageError(str(error)) from error


def _loaded(folder: Path, batches: Batches) -> Client:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # it complains of every bad picture
    if sys.stderr.isatty():
        click.echo(f"loading {folder}", err=True)
    with quiet(Path(os.devnull)):  # some lines of TensorFlow's come before it heeds that setting
        from serving.local_model import LocalModel

        return LocalModel(folder, batches)


def identify(choice: Choice) -> tuple[Choice, str]:
    """Finds out which version answers.

    Returns:
        The choice with that version, whatever is published meanwhile; and its name, which no other model has: as in
        `six_class/1795228152`, with a digest of the files where these can be read.

    Raises:
        AnswerError, click.UsageError: see `asking`.
    """
    if choice.server is None:
        folder = find_model(choice.model or SERVING, choice.model_name, choice.version)
        return replace(choice, model=folder), model_name(folder)
    with asking(choice) as client:
        known = client.metadata()
    return replace(choice, version=known.version, label=None), f"{known.model}/{known.version}"


def find_model(folder: Path, name: str | None, version: int | None) -> Path:
    """Finds a SavedModel: `folder` itself, or the version that serves of the one model below it.

    The version that serves is the stable one, or else the newest, unless `version` names another.

    Raises:
        AnswerError: there is none, or it is not clear which.
    """
    if (folder / "saved_model.pb").is_file():
        return folder
    folders = [folder, *sorted(folder.iterdir())] if folder.is_dir() else []
    stores = {store.name: store for store in folders if versions(store)}
    if not stores:
        raise AnswerError(
            f"{folder}: no model is published there. Publish one with 'fashion run', or give --model or --server."
        )
    known = ", ".join(stores)
    if name is None and len(stores) > 1:
        raise AnswerError(f"{folder}: there are several models: {known}. Name one with --model-name.")
    chosen = name if name is not None else next(iter(stores))
    if chosen not in stores:
        raise AnswerError(f"{folder}: there is no model '{chosen}'. Known: {known}.")
    there = versions(stores[chosen])
    if version is not None and version not in there:
        raise AnswerError(f"{folder}: {chosen} has no version {version}. Known: {', '.join(map(str, there))}.")
    return there[version if version is not None else serving_version(stores[chosen].absolute()) or max(there)]


def answer_all(question: Question, method: Method, writer: Lines) -> bool:
    """Asks about all inputs that `writer` has no answer for yet, and writes the answers as they come.

    If it has all of them, the model is not even loaded. It is closed at the end.

    Returns:
        Whether all were answered without an error.

    Raises:
        AnswerError: the model cannot be asked, or the answers cannot be written; those so far are.
        click.UsageError: the choice of a model makes no sense.
    """
    began, failed, written, inputs = time.monotonic(), list[str](), 0, list(question.inputs)
    left = [each for each in inputs if tuple(map(str, each.name)) not in writer.done]
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    quiet = not console.is_terminal
    try:
        with closing(writer), asking(question.choice) if left else nullcontext() as client:
            rows = ask(question.inputs, left, partial(method, client), question.model) if client else ()
            for row in track(rows, "asking", len(left), console=console, transient=True, disable=quiet):
                writer.write(row)
                written += 1
                if row["error"] is not None:
                    failed.append(describe(question.inputs, row))
                if quiet and written % _PER_PLAIN_LINE == 0:
                    console.print(f"{written:,} of {len(left):,} pictures")
    except AnswerError as fault:
        if not written:
            raise
        again = " Give the same command again to go on." if writer.path else ""
        raise AnswerError(f"{fault} {written:,} of {len(left):,} pictures were answered before.{again}") from fault
    pictures = f"{len(left):,} {'picture' if len(left) == 1 else 'pictures'} in {time.monotonic() - began:.1f} s"
    earlier = [f"{len(inputs) - len(left):,} were answered before"] * (len(left) < len(inputs))
    parts = " · ".join([pictures, f"{len(failed):,} with an error", *earlier])
    console.print(f"{writer.path}: {parts}" if writer.path else parts)
    for what, lines in (("error", failed), ("passed over, no picture by its suffix", question.inputs.skipped)):
        for line in lines[:_LISTED]:
            console.print(f"  {what}: {line}")
        if len(lines) > _LISTED:
            console.print(f"  … and {len(lines) - _LISTED:,} more")
    return not failed


def describe(inputs: Inputs, row: Row) -> str:
    """A row's error, with what it is about."""
    return f"{', '.join(str(row[column]) for column in inputs.columns)}: {row['error']}"
