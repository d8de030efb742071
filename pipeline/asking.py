"""Asking a model about many pictures: which pictures, which model, how far it is and how it ended."""

import os
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import click
import fashion_client
from fashion_client import Batches, Client, ClientError, Embedding, Prediction, SourceError, Timeouts
from fashion_client.pictures import Source, read_file
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from components.errors import AnswerError, CatalogueError
from components.publish.store import model_digest, versions
from pipeline.answers import Row, Writer, plain

_LISTED = 5  # errors, and files passed over, that are named at the end
_SECONDS_BETWEEN_PLAIN_LINES = 15

Answer = TypeVar("Answer", Prediction, Embedding)


@dataclass(frozen=True)
class Asked:
    """Which model is asked, and how; None where nothing was said.

    Attributes:
        server: address of a server.
        model_name: of the model there, or below `model`.
        model: a SavedModel, a folder of versions, or one of models.
        version: its number.
        label: its label on the server.
        batch_size: pictures in a request.
        timeout: seconds for a request.
    """

    server: str | None
    model_name: str | None
    model: Path
    version: int | None
    label: str | None
    batch_size: int
    timeout: float


@dataclass(frozen=True)
class Pictures:
    """What there is to ask about: each picture once, and the files that are none by their suffix."""

    sources: tuple[Source, ...]
    skipped: tuple[str, ...]


def find_pictures(paths: Sequence[str]) -> Pictures:
    """Lists the pictures that are named, and those in folders and zips.

    Raises:
        CatalogueError: a path leads nowhere, or a folder or zip cannot be read or holds no picture.
    """
    sources: dict[str, Source] = {}
    skipped: list[str] = []
    for path in paths:
        if not os.path.exists(path):
            raise CatalogueError(f"{path}: there is no such file or folder. Check the path.")
        if os.path.isdir(path) or path.lower().endswith(".zip") or _is_zip(path):
            try:
                found = fashion_client.pictures_in(path)
            except SourceError as error:
                raise CatalogueError(str(error)) from error
            sources.update((source.name, source) for source in found)
            skipped.extend(found.skipped)
        else:
            sources[path] = Source(path, lambda path=path: read_file(path))  # type: ignore[misc]
    return Pictures(tuple(sources.values()), tuple(skipped))


def _is_zip(path: str) -> bool:
    return os.path.isfile(path) and zipfile.is_zipfile(path)


@contextmanager
def asking(asked: Asked) -> Iterator[Client]:
    """Connects to the server, or loads the model.

    Raises:
        AnswerError: there is no such model, or a question to it failed.
        click.UsageError: what was asked for makes no sense.
    """
    try:
        try:
            client = _client(asked)
        except ValueError as error:  # of the address, or of version and label
            raise click.UsageError(str(error)) from error
        with client:
            yield client
    except ClientError as error:
        raise AnswerError(str(error)) from error


def _client(asked: Asked) -> Client:
    if asked.server is not None:
        return fashion_client.connect(
            asked.server,
            asked.model_name or "",
            version=asked.version,
            label=asked.label,
            timeouts=Timeouts(connect=min(5.0, asked.timeout), read=asked.timeout, total=asked.timeout),
            batches=Batches(rows=asked.batch_size),
        )
    folder = find_model(asked.model, asked.model_name, asked.version)
    return _loaded(folder, Batches(rows=asked.batch_size, parallel=1))


def _loaded(folder: Path, batches: Batches) -> Client:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # it complains of every bad picture
    if sys.stderr.isatty():
        click.echo(f"loading {folder}", err=True)
    # Some lines of TensorFlow's come before it heeds that setting.
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        from serving.local_model import LocalModel

        return LocalModel(folder, batches)
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def identify(asked: Asked) -> tuple[Asked, str]:
    """Finds out which version answers.

    Args:
        asked: which model; a version need not be named.

    Returns:
        The same with that version, whatever is published meanwhile; and its name, which no other model has: as in
        `six_class/1795228152`, with a digest of the files where these can be read.

    Raises:
        AnswerError, click.UsageError: see `asking`.
    """
    if asked.server is None:
        folder = find_model(asked.model, asked.model_name, asked.version)
        name = "/".join(folder.resolve().parts[-2:])
        return replace(asked, model=folder), f"{name}@{model_digest(folder)[:12]}"
    with asking(asked) as client:
        known = client.metadata()
    return replace(asked, version=known.version, label=None), f"{known.model}/{known.version}"


def find_model(folder: Path, name: str | None, version: int | None) -> Path:
    """Finds a SavedModel: `folder` itself, or the newest version of the one model below it.

    Args:
        folder: a SavedModel, a folder of versions, or a folder of such folders.
        name: of the model, where there are several.
        version: its number, instead of the newest.

    Raises:
        AnswerError: there is none, or it is not clear which.
    """
    if (folder / "saved_model.pb").is_file():
        return folder
    stores = [folder, *sorted(folder.iterdir())] if folder.is_dir() else []
    models = {store.name: found for store in stores if (found := versions(store))}
    if not models:
        raise AnswerError(
            f"{folder}: no model is published there. Publish one with 'fashion run', or give --model or --server."
        )
    known = ", ".join(models)
    if name is None and len(models) > 1:
        raise AnswerError(f"{folder}: there are several models: {known}. Name one with --model-name.")
    chosen = name if name is not None else next(iter(models))
    if chosen not in models:
        raise AnswerError(f"{folder}: there is no model '{chosen}'. Known: {known}.")
    found = models[chosen]
    if version is not None and version not in found:
        raise AnswerError(f"{folder}: {chosen} has no version {version}. Known: {', '.join(map(str, found))}.")
    return found[max(found) if version is None else version]


def answer_all(
    pictures: Pictures,
    asked: Asked,
    ask: Callable[[Client, Iterable[Source]], Iterator[Answer]],
    row: Callable[[Answer], Row],
    writer: Writer,
    target: Path | None,
) -> bool:
    """Asks about all pictures that `writer` has no answer for yet, and writes the answers as they come.

    Args:
        pictures: what to ask about.
        asked: which version of which model; if `writer` has all answers, it is not even loaded.
        ask: `Client.predict_each` or `Client.embed_each`.
        row: makes the columns of an answer, without `picture` and `error`.
        writer: takes the answers.
        target: where that is, None for the screen.

    Returns:
        Whether all were answered without an error.

    Raises:
        AnswerError: the model cannot be asked, or the answers cannot be written; those so far are.
        click.UsageError: what was asked for makes no sense.
    """
    began, failed, written = time.monotonic(), dict[str, str](), 0
    left = [source for source in pictures.sources if plain(source.name) not in writer.pictures]
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    try:
        with asking(asked) if left else nullcontext() as client:
            for answer in _shown(ask(client, left), len(left), console) if client else ():
                name, error = plain(answer.source), None if answer.error is None else plain(answer.error)
                writer.write({**row(answer), "picture": name, "error": error})
                written += 1
                if error is not None:
                    failed[name] = error
    except AnswerError as fault:
        if not written:
            raise
        again = " Give the same command again to go on." if target else ""
        raise AnswerError(f"{fault} {written:,} of {len(left):,} pictures were answered before.{again}") from fault
    earlier = len(pictures.sources) - len(left)
    console.print(_counts(len(left), len(failed), earlier, time.monotonic() - began, target))
    _list(console, "error", [f"{name}: {error}" for name, error in failed.items()])
    _list(console, "passed over, no picture by its suffix", pictures.skipped)
    return not failed


def _counts(asked: int, failed: int, earlier: int, seconds: float, target: Path | None) -> str:
    parts = [f"{asked:,} {'picture' if asked == 1 else 'pictures'} in {seconds:.1f} s", f"{failed:,} with an error"]
    if earlier:
        parts.append(f"{earlier:,} were answered before")
    return f"{target}: {' · '.join(parts)}" if target else " · ".join(parts)


def _list(console: Console, what: str, lines: Sequence[str]) -> None:
    for line in lines[:_LISTED]:
        console.print(f"  {what}: {line}")
    if len(lines) > _LISTED:
        console.print(f"  … and {len(lines) - _LISTED:,} more")


def _shown(answers: Iterator[Answer], total: int, console: Console) -> Iterator[Answer]:
    """Passes answers on, and shows on the way how far it is: a bar in a terminal, a line now and then in a log."""
    columns = TextColumn("asking"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    last = time.monotonic()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total)
        for number, answer in enumerate(answers, start=1):
            yield answer
            progress.advance(task)
            if not console.is_terminal and time.monotonic() - last > _SECONDS_BETWEEN_PLAIN_LINES:
                console.print(f"{number:,} of {total:,} pictures")
                last = time.monotonic()
