"""`fashion predict` and `fashion embed`: what pictures show, and where they lie among others."""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.commands import PATH, Command, shared_options

if TYPE_CHECKING:
    from fashion_client import Thresholds

    from pipeline.asking import Method, Question

TOP = 5  # classes that a model names

EXIT_CODES = """
\b
Exit codes: 0 all answered · 1 some picture has an error · 2 wrong option ·
3 pictures cannot be read · 10 no model answers, or --out cannot be written ·
130 stopped by Ctrl-C
"""

READING = click.option(
    "--catalogue",
    "reading",
    type=PATH,
    help="How to read it, a YAML file as `fashion inspect` drafts it.  [default: as the model's recipe says]",
)
# What to ask about, and which model: of `fashion batch` too, which has no server.
INPUTS = shared_options(
    click.argument("images", nargs=-1, metavar="[IMAGE...]"),
    click.option(
        "--data",
        type=PATH,
        help="Ask about a catalogue instead: a folder, zip or tar with a table and pictures. It needs a column of ids.",
    ),
    READING,
)
MODEL = shared_options(
    click.option("--model-name", metavar="NAME", help="Which model of the server, or of those below --model."),
    click.option(
        "--model",
        type=PATH,
        metavar="DIR",
        help="Load a SavedModel, or the version that serves of the one model below DIR.  [default: runs/serving]",
    ),
    click.option(
        "--model-version", "version", type=click.IntRange(min=0), help="Its version.  [default: stable, or the newest]"
    ),
)
TOP_CLASSES = click.option("--top", type=click.IntRange(1, TOP), default=TOP, help="Classes to name.")

DECIDE = click.option(
    "--decide",
    metavar="LIMITS",
    help="Decide by own thresholds, e.g. outside=1.5,clear=0,confidence=0.9; what is left out decides nothing.",
)

_asks = shared_options(
    INPUTS,
    click.option("--server", metavar="URL", help="Ask a server: http://host:8501 or grpc://host:8500."),
    click.option("--ca", type=PATH, help="Authority of an https:// or grpcs:// server's certificate, in PEM."),
    click.option("--certificate", type=PATH, help="Your own, where the server wants to know its clients."),
    click.option("--key", type=PATH, help="That belongs to --certificate."),
    MODEL,
    click.option("--model-label", "label", metavar="LABEL", help="Its version by label, e.g. canary; with --server."),
    click.option("--out", type=PATH, metavar="FILE", help="Write here instead of the screen."),
    click.option("--batch-size", type=click.IntRange(min=1), default=32, help="Pictures a request."),
    click.option("--timeout", type=click.FloatRange(min=0.1), default=60.0, help="Seconds for a request."),
)


@click.command(cls=Command, epilog=EXIT_CODES)
@_asks
@TOP_CLASSES
@DECIDE
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), help="Of the rows. [default: as --out ends]")
@click.option("--json", "as_json", is_flag=True, help="The same as --format jsonl.")
def predict(
    images: tuple[str, ...], data: Path | None, out: Path | None, top: int, decide: str | None, form: str | None,
    as_json: bool, **model: Any,
) -> None:  # fmt: skip
    """Say what pictures show. They are JPEG and PNG files, or folders and zips of them.

    One picture is answered with a table, several as CSV or JSON lines, one row each. A picture that cannot be
    answered has its error there, and stops no other. Given again, a command goes on where it was, and asks again about
    pictures that had an error. One version answers all, whatever is published meanwhile; its name stands in each row.

    A decision says whether to accept a label, to have a person look (unsure), or that the picture is of none of the
    classes (outside).

    \b
      fashion predict shoe.jpg
      fashion predict shoe.jpg --server http://localhost:8501 --model-name m
      fashion predict shop/images --out labels.csv
      fashion predict --data shop.zip --out labels.jsonl
    """
    form = _format(out, "jsonl" if as_json else form, ("csv", "jsonl"))
    from fashion_client import Client

    from components.answers.rows import PREDICTION
    from components.answers.settings import read_settings
    from pipeline.asking import answer_all, open_question, open_writer

    method = partial(Client.predict_each, thresholds=read_thresholds(decide))
    question = open_question(images, data, **model)
    if decide:  # in the name, so that answers by other thresholds do not get into the same file
        question = replace(question, model=f"{question.model} decide {decide}")
    if data is None and out is None and form is None and [each.name for each in question.inputs] == [images]:
        sys.exit(0 if _show(question, method, top) else 1)
    folder = None if question.choice.server else question.choice.model
    answer = (*PREDICTION, *read_settings(folder).keys)
    writer = open_writer(question, out, form or "csv", answer, top)
    sys.exit(0 if answer_all(question, method, writer) else 1)


@click.command(cls=Command, epilog=EXIT_CODES)
@_asks
@click.option("--format", "form", type=click.Choice(["npy", "jsonl"]), help="Of the rows. [default: as --out ends]")
def embed(images: tuple[str, ...], data: Path | None, out: Path | None, form: str | None, **model: Any) -> None:
    """Write the embeddings of pictures. They are JPEG and PNG files, or folders and zips of them.

    An embedding is a vector of length 1; pictures that look alike have vectors that lie close. --out vectors.npy
    holds float32 [n, d], one row for each picture, and vectors.pictures.csv beside it names them. A picture that
    cannot be answered has its error there and a row of zeros. Given again, a command goes on where it was, and asks
    again about pictures that had an error. One version answers all, whatever is published meanwhile.

    \b
      fashion embed shoe.jpg
      fashion embed shop/images --out vectors.npy
      fashion embed --data shop.zip --out vectors.jsonl
    """
    form = _format(out, form, ("npy", "jsonl")) or "jsonl"
    if form == "npy" and out is None:
        raise click.UsageError("--format npy is not for the screen: give a file with --out.")
    from fashion_client import Client

    from components.answers.rows import EMBEDDING
    from pipeline.asking import answer_all, open_question, open_writer

    question = open_question(images, data, **model)
    writer = open_writer(question, out, form, EMBEDDING)
    sys.exit(0 if answer_all(question, Client.embed_each, writer) else 1)


def _format(out: Path | None, form: str | None, known: tuple[str, ...]) -> str | None:
    """The format of the rows; None where nothing was said."""
    if form is not None or out is None:
        return form
    if out.suffix.lower().lstrip(".") not in known:
        raise click.UsageError(f"--out {out}: end the name in .{' or .'.join(known)}, or give --format.")
    return out.suffix.lower().lstrip(".")


def read_thresholds(text: str | None) -> "Thresholds | None":
    """Reads `--decide`."""
    from fashion_client import Thresholds

    if text is None:
        return None
    try:
        pairs = [part.split("=") for part in text.split(",")]
        return Thresholds(**{name.strip(): float(number) for name, number in pairs})
    except (ValueError, TypeError):
        raise click.UsageError(
            f"--decide {text}: give limits like outside=1.5,clear=0,confidence=0.9, all or some of these three."
        ) from None


def _show(question: "Question", method: "Method", top: int) -> bool:
    """Shows the answer about one picture as a table; returns whether there is one."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from components.answers.ask import ask
    from pipeline.asking import asking, describe

    inputs = question.inputs
    with asking(question.choice) as client:
        [row] = ask(inputs, inputs, partial(method, client), question.model)
    if row["error"] is not None:
        click.echo(f"fashion: {describe(inputs, row)}", err=True)
        return False
    table = Table(box=None, show_header=False, padding=(0, 2))
    for each in row["top"][:top]:
        share = each["confidence"]
        table.add_row(Text(each["label"]), Text(f"{100 * share:.1f} %", justify="right"), Text("━" * round(share * 30)))
    head = Text.assemble(f"{row['picture']}: ", (row["label"], "bold"), f", {100 * row['confidence']:.1f} %")
    if row["decision"]:
        head.append(f" · {row['decision']}", style="green" if row["decision"] == "accept" else "yellow")
    console = Console(highlight=False, markup=False)
    console.print(head, soft_wrap=True)
    console.print(table)
    return True
