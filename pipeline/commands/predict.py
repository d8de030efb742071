"""`fashion predict` and `fashion embed`: what pictures show, and where they lie among others."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.commands import Command

if TYPE_CHECKING:
    from fashion_client import Prediction

    from pipeline.answers import Writer
    from pipeline.asking import Asked

SERVING = Path("runs/serving")
TOP = 5  # classes that a model names

EXIT_CODES = """
\b
Exit codes: 0 all answered · 1 some picture has an error · 2 wrong option ·
3 pictures cannot be read · 10 no model answers, or --out cannot be written ·
130 stopped by Ctrl-C
"""

_OPTIONS = (
    click.argument("images", nargs=-1, required=True, metavar="IMAGE..."),
    click.option("--server", metavar="URL", help="Ask a server: http://host:8501 or grpc://host:8500."),
    click.option("--model-name", metavar="NAME", help="Which model of the server, or of those below --model."),
    click.option(
        "--model",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help=f"Load a SavedModel, or the newest version of the one model below DIR. [default: {SERVING}]",
    ),
    click.option("--model-version", "version", type=click.IntRange(min=0), help="Its version. [default: the newest]"),
    click.option("--model-label", "label", metavar="LABEL", help="Its version by label, e.g. canary; with --server."),
    click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write here instead of the screen."),
    click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True, help="Pictures a request."),
    click.option(
        "--timeout", type=click.FloatRange(min=0.1), default=60.0, show_default=True, help="Seconds for a request."
    ),
)


def _asks(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command(cls=Command, epilog=EXIT_CODES)
@_asks
@click.option("--top", type=click.IntRange(1, TOP), default=TOP, show_default=True, help="Classes to name.")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), help="Of the rows. [default: as --out ends]")
@click.option("--json", "as_json", is_flag=True, help="The same as --format jsonl.")
def predict(images: tuple[str, ...], out: Path | None, top: int, form: str | None, as_json: bool, **model: Any) -> None:
    """Say what pictures show. They are JPEG and PNG files, or folders and zips of them.

    One picture is answered with a table, several as CSV or JSON lines, one row each. A picture that cannot be
    answered has its error there, and stops no other. Given again, a command goes on where it was, and asks again about
    pictures that had an error. One version answers all, whatever is published meanwhile; its name stands in each row.

    \b
      fashion predict shoe.jpg
      fashion predict shoe.jpg --server grpc://localhost:8500 --model-name six_class
      fashion predict shop/images --out labels.csv
      fashion predict shop.zip --server http://host:8501 --model-name six_class --out labels.jsonl
    """
    form = _format(out, "jsonl" if as_json else form, ("csv", "jsonl"))
    asked = _asked(**model)
    from fashion_client import Client

    from pipeline.asking import answer_all, asking, find_pictures, identify

    pictures = find_pictures(images)
    sources = pictures.sources
    if out is None and form is None and [source.name for source in sources] == list(images) and len(images) == 1:
        with asking(asked) as client:
            fine = _show(client.predict(sources)[0], top)
    else:
        as_row, columns = (_nested, _NESTED) if form == "jsonl" else (_flat, _flat_columns(top))
        asked, name = identify(asked)
        with _writer(out, form or "csv", columns, name) as writer:
            fine = answer_all(pictures, asked, Client.predict_each, lambda answer: as_row(answer, top), writer, out)
    sys.exit(0 if fine else 1)


@click.command(cls=Command, epilog=EXIT_CODES)
@_asks
@click.option("--format", "form", type=click.Choice(["npy", "jsonl"]), help="Of the rows. [default: as --out ends]")
def embed(images: tuple[str, ...], out: Path | None, form: str | None, **model: Any) -> None:
    """Write the embeddings of pictures. They are JPEG and PNG files, or folders and zips of them.

    An embedding is a vector of length 1; pictures that look alike have vectors that lie close. --out vectors.npy
    holds float32 [n, d], one row for each picture, and vectors.pictures.csv beside it names them. A picture that
    cannot be answered has its error there and a row of zeros. Given again, a command goes on where it was, and asks
    again about pictures that had an error. One version answers all, whatever is published meanwhile.

    \b
      fashion embed shoe.jpg
      fashion embed shop/images --out vectors.npy
      fashion embed shop.zip --server grpc://host:8500 --model-name six_class --out vectors.jsonl
    """
    form = _format(out, form, ("npy", "jsonl")) or "jsonl"
    if form == "npy" and out is None:
        raise click.UsageError("--format npy is not for the screen: give a file with --out.")
    asked = _asked(**model)
    from fashion_client import Client

    from pipeline.asking import answer_all, find_pictures, identify

    pictures = find_pictures(images)
    asked, name = identify(asked)
    with _writer(out, form, ("picture", "model", "embedding", "error"), name) as writer:
        fine = answer_all(pictures, asked, Client.embed_each, lambda answer: {"embedding": answer.vector}, writer, out)
    sys.exit(0 if fine else 1)


def _format(out: Path | None, form: str | None, known: tuple[str, ...]) -> str | None:
    """The format of the rows; None where nothing was said."""
    if form is not None or out is None:
        return form
    if out.suffix.lower().lstrip(".") not in known:
        raise click.UsageError(f"--out {out}: end the name in .{' or .'.join(known)}, or give --format.")
    return out.suffix.lower().lstrip(".")


def _asked(
    server: str | None, model_name: str | None, model: Path | None, version: int | None, label: str | None, **how: Any
) -> "Asked":
    if server is not None and model is not None:
        raise click.UsageError("--server and --model: give one of them.")
    if server is not None and model_name is None:
        raise click.UsageError("--server: say with --model-name which of its models to ask.")
    if server is None and label is not None:
        raise click.UsageError("--model-label: only a server knows labels; give --server, or --model-version.")
    from pipeline.asking import Asked

    return Asked(server, model_name, model or SERVING, version, label, **how)


@contextmanager
def _writer(out: Path | None, form: str, columns: tuple[str, ...], model: str) -> Iterator["Writer"]:
    from pipeline.answers import Lines, Vectors

    if form == "npy":
        assert out is not None
        writer: Writer = Vectors(out, model)
    else:
        writer = Lines(out or sys.stdout.buffer, form, columns, model)
    try:
        yield writer
    finally:
        writer.close()


_NESTED = ("picture", "model", "label", "confidence", "top", "error")


def _nested(answer: "Prediction", top: int) -> dict[str, object]:
    classes = [{"label": label, "confidence": round(score, 6)} for label, score in answer.top[:top]]
    return {"label": answer.label, "confidence": round(answer.confidence, 6), "top": classes}


def _flat_columns(top: int) -> tuple[str, ...]:
    further = [f"{name}_{place}" for place in range(2, top + 1) for name in ("label", "confidence")]
    return ("picture", "model", "label", "confidence", *further, "error")


def _flat(answer: "Prediction", top: int) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(_flat_columns(top), "")
    for place, (label, score) in enumerate(answer.top[:top], start=1):
        end = f"_{place}" if place > 1 else ""
        row[f"label{end}"], row[f"confidence{end}"] = label, f"{score:.6f}"
    return row


def _show(answer: "Prediction", top: int) -> bool:
    if answer.error is not None:
        click.echo(f"fashion: {answer.source}: {answer.error}", err=True)
        return False
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2))
    for label, score in answer.top[:top]:
        table.add_row(Text(label), Text(f"{100 * score:.1f} %", justify="right"), Text("━" * round(score * 30)))
    head = Text.assemble(f"{answer.source}: ", (answer.label, "bold"), f", {100 * answer.confidence:.1f} %")
    console = Console(highlight=False, markup=False)
    console.print(head, soft_wrap=True)
    console.print(table)
    return True
