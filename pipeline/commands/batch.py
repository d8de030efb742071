"""`fashion batch`: the answers of a model about a whole catalogue."""

import logging
import os
import time
from pathlib import Path

import click

from pipeline.commands import Command

EXIT_CODES = """
\b
Exit codes: 0 every row has its line, with a label or with the reason why not ·
2 wrong option · 3 the catalogue cannot be read ·
10 the model cannot be used, or --out cannot be written ·
130 stopped by Ctrl-C
"""


@click.command(cls=Command, epilog=EXIT_CODES)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    required=True,
    help="A folder, zip or tar with a table and pictures. Of the columns only that with ids has to be there.",
)
@click.option(
    "--catalogue",
    "reading",
    type=click.Path(path_type=Path),
    help="How to read it, a YAML file as `fashion inspect` drafts it.  [default: as the model's recipe says]",
)
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    required=True,
    help="A published version, or a model's folder: then its stable version, or the highest.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to make.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "jsonl", "parquet"]),
    default="csv",
    show_default=True,
    help="Of the files.",
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier batch in --out.")
@click.option("--beam", default="{}", help="Where it runs, as `beam` of a recipe says it.  [default: {runner: local}]")
def batch(data: Path, reading: Path | None, model: Path, out: Path, form: str, overwrite: bool, beam: str) -> None:
    """Ask a model about every product of a catalogue.

    --out gets files of about a thousand lines, one for each product of the table in its order: row, id, label,
    confidence, top labels and scores; for one that cannot be answered the reason. summary.json holds the counts. The
    folder appears when it is complete. A command that was stopped goes on where it was when it is given again.

    \b
      fashion batch --data shop/ --model runs/serving/six_class --out labels
      fashion batch --data shop.zip --model runs/serving/six_class/1795237860 --out labels
      fashion batch --data /mnt/shop --model /mnt/models/six_class --out /mnt/labels \\
        --beam '{runner: flink, options: {flink_master: "flink:8081", parallelism: 16}}'

    Workers on other machines have to see all three places under the same paths.
    """
    from rich.text import Text

    from components.batch.settings import read_settings
    from components.errors import CatalogueError
    from components.ingest.catalogue import open_catalogue
    from components.ingest.settings import load_layout
    from components.progress import listen
    from pipeline.paths import short
    from pipeline.view import RunView, quiet

    beam_args = _beam_args(beam)
    version = _version_of(model)
    layout = load_layout(reading) if reading else read_settings(version).catalogue
    open_catalogue(str(data), layout)
    out = Path(os.path.abspath(out))  # which `.` and `..` have a name in
    log = out.with_name(f"{out.name or 'batch'}.log")
    with quiet(log) as console:
        console.print(Text(f"{short(version)} · {data.name} · log {short(log)}\n"))
        with RunView(console) as view:
            began = time.monotonic()
            view.started("start")
            view.expect(["batch"])
            logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
            logging.getLogger("apache_beam").setLevel(logging.WARNING)
            from components.batch.job import run_batch

            view.finished("start", "Beam and TensorFlow are loaded", time.monotonic() - began)
            began = time.monotonic()
            view.started("batch")
            with listen(view.progress):
                done = run_batch(data, version, out, form, beam_args, overwrite, layout)
            labelled = sum(done.labels.values())
            parts = [f"{done.rows:,} rows → {labelled:,} labelled, {done.rows - labelled:,} without a label"]
            parts += [f"{done.resumed:,} from an earlier try"] * bool(done.resumed)
            parts += ["was there already"] * done.already
            view.finished("batch", ", ".join(parts), time.monotonic() - began)
        for title, counted in (("label", done.labels), ("no label", done.reasons)):
            for name, number in counted.items():
                console.print(Text(f"  {title:<10}{number:>10,}  {name}"))
        console.print(Text(f"\nanswers     {short(out.absolute())}"))
    if not labelled:
        raise CatalogueError(f"{data}: none of its {done.rows:,} rows could be labelled; {out} says why of each.")


def _beam_args(text: str) -> list[str]:
    from pydantic import ValidationError

    from components.errors import RecipeError
    from components.reading import explain, parse_yaml
    from pipeline.beam import Beam, beam_args

    try:
        return beam_args(Beam.model_validate(parse_yaml(text, "--beam")))
    except ValidationError as error:
        raise RecipeError(explain(error, Beam, "--beam")) from None


def _version_of(model: Path) -> Path:
    """The stable version of a model's folder, or its highest; any other folder as it is."""
    from components.publish.store import latest, versions
    from serving.releases import STABLE, Releases

    there = {} if (model / "saved_model.pb").exists() else versions(model)
    if not there:
        return model
    stable = Releases(model.absolute().parent).labels(model.absolute().name).get(STABLE)
    return there[stable if stable in there else latest(model) or 0]
