"""`fashion batch`: the answers of a model about a whole catalogue, by Beam."""

import os
from pathlib import Path
from typing import Any

import click

from pipeline.commands import PATH, Command
from pipeline.commands.answer_log import logs_answers
from pipeline.commands.predict import DECIDE, INPUTS, MODEL, TOP_CLASSES, read_thresholds

EXIT_CODES = """
\b
Exit codes: 0 every row has its line, with a label or with the reason why
not · 2 wrong option · 3 the catalogue or pictures cannot be read ·
10 the model cannot be used, or --out cannot be written ·
130 stopped by Ctrl-C
"""

BEAM = click.option("--beam", default="{runner: local}", help="Where it runs, as `beam` of a recipe says it.")


@click.command(cls=Command, epilog=EXIT_CODES)
@INPUTS
@MODEL
@click.option("--out", type=PATH, required=True, help="Folder to make.")
@TOP_CLASSES
@click.option("--format", "form", type=click.Choice(["csv", "jsonl", "parquet"]), default="csv")
@DECIDE
@click.option("--review", type=PATH, metavar="FILE", help="Write what a person should look at here, as CSV.")
@click.option("--fill", type=PATH, metavar="FILE", help="Write the table with its empty cells filled here, as CSV.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier batch in --out.")
@BEAM
@logs_answers
@click.option("--slice", "slices", multiple=True, metavar="COLUMN", help="Log its value too. Repeatable.")
def batch(
    images: tuple[str, ...], data: Path | None, out: Path, top: int, form: str, overwrite: bool, beam: str,
    decide: str | None, review: Path | None, fill: Path | None, log_answers: dict[str, Any] | None,
    slices: tuple[str, ...], **model: Any,
) -> None:  # fmt: skip
    """Ask a model about every product of a catalogue, or about pictures.

    No server is needed. --out gets files of about a thousand lines, with the columns of `fashion predict`: one for each
    row of the table in its order, named by row and id; for a row that cannot be answered the reason. summary.json holds
    the counts. The folder appears when it is complete. A command that was stopped goes on where it was when it is given
    again. --review lists what the model did not accept, first what a look is worth most at. --fill writes the table
    back: what is empty in the columns that the model answers is filled, and nothing else changes.

    \b
      fashion batch --data shop/ --out labels --review review.csv
      fashion batch --data shop.zip --model runs/serving/six_class --out labels
      fashion batch --data /mnt/shop --model /mnt/six_class --out /mnt/labels \\
        --beam '{runner: flink, options: {flink_master: "flink:8081"}}'

    Workers on other machines have to see all three places under the same paths.
    """
    from rich.text import Text

    from components.answers.inputs import Products
    from components.errors import CatalogueError
    from components.progress import listen
    from pipeline.asking import SERVING, open_question
    from pipeline.paths import short
    from pipeline.run import set_up_logging
    from pipeline.view import RunView, quiet

    beam_args, thresholds = read_beam(beam), read_thresholds(decide)
    if slices and not (data and log_answers):
        raise click.UsageError("--slice goes with --data and --log-answers.")
    question = open_question(images, data, **model)
    inputs = question.inputs.with_slices(slices) if isinstance(question.inputs, Products) else question.inputs
    folder = question.choice.model or SERVING
    out = Path(os.path.abspath(out))  # which `.` and `..` have a name in
    log = out.with_name(f"{out.name or 'batch'}.log")
    with quiet(log) as console:
        console.print(Text(f"{short(folder)} · {inputs} · log {short(log)}\n"))
        with RunView(console) as view:
            view.started("start")
            view.expect(["batch"])
            set_up_logging()
            from components.batch.job import run_batch

            view.finished("start", "Beam and TensorFlow are loaded")
            view.started("batch")
            with listen(view.progress):
                done = run_batch(
                    inputs, folder, out, form, beam_args, overwrite, top, log_answers, thresholds, review, fill
                )
            labelled = sum(done.labels.values())
            parts = [f"{done.rows:,} rows → {labelled:,} labelled, {done.rows - labelled:,} without a label"]
            parts += [f"{done.resumed:,} from an earlier try"] * bool(done.resumed)
            view.finished("batch", ", ".join(parts))
        for title, counted in (("label", done.labels), ("no label", done.reasons), ("decision", done.decisions)):
            for name, number in counted.items():
                console.print(Text(f"  {title:<10}{number:>10,}  {name}"))
        console.print(Text(f"\nanswers     {short(out.absolute())}"))
        for title, file in (("to look at", review), ("filled", fill)):
            if file:
                console.print(Text(f"{title:<12}{short(file.absolute())}"))
    if not labelled:
        raise CatalogueError(f"{inputs}: none of its {done.rows:,} rows could be labelled; {out} says why of each.")


def read_beam(text: str) -> list[str]:
    """Reads `--beam`: the options of a Beam pipeline."""
    from components.reading import parse_yaml, validated
    from pipeline.beam import Beam, beam_args

    return beam_args(validated(Beam, parse_yaml(text, "--beam"), "--beam"))
