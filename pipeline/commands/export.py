"""`fashion export`: the published model for phones, browsers and programs without TensorFlow."""

import json
import sys
from pathlib import Path

import click

from pipeline.commands import PATH, Command
from pipeline.commands.training import metadata_option

EXIT_CODES = """
\b
Exit codes: 0 all published · 2 wrong option · 7 cannot be written ·
10 there is no such model · 13 a format is refused, or its converter fails
"""


class _Export(click.Group):
    """Takes what is no subcommand for the model to copy."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        known = (*self.commands, *ctx.help_option_names)
        return super().parse_args(ctx, args if args and args[0] in known else ["copy", *args])


@click.group(cls=_Export)
def export() -> None:
    """Copy a published model to other formats, or verify a copy.

    \b
      fashion export --to onnx,litert-int8
      fashion export runs/serving/six_class --to litert
      fashion export verify RESULTS.json --bundle DIR
    """


@export.command(cls=Command, epilog=EXIT_CODES)
@click.argument("model", type=PATH, default=Path("runs/serving"))
@click.option(
    "--to", required=True, metavar="FORMATS", help="litert[-fp16|-int8], onnx, openvino, web, tfjs, by commas."
)
@click.option("--data", type=PATH, help="Folder of the run's examples.  [default: as the database remembers]")
@click.option("--out", type=PATH, help="Where copies go.  [default: `exports` beside the serving folder]")
@metadata_option
def copy(model: Path, to: str, data: Path | None, out: Path | None, database: str | None) -> None:
    """Copy a published model to other formats.

    MODEL is a version's folder, or a folder that holds one model.

    Each copy answers the whole test split and is held against the model. One that answers otherwise is refused; the
    others are published in OUT/<model>/<format>/<version>, each with what a program needs to ask it.
    """
    from components.errors import ExportError
    from components.export.copies import HEAD, rows
    from components.export.settings import Export, copies_of
    from components.reading import validated
    from pipeline.asking import find_model
    from pipeline.paths import short
    from pipeline.summary import table_of
    from pipeline.view import quiet

    settings = validated(Export, {"formats": tuple(to.split(","))}, "--to")
    folder = find_model(model, None, None).resolve()
    store = folder.parent
    examples = data or _examples(folder, store.parents[1], database)
    copies = out / store.name if out else copies_of(store)
    with quiet(copies.with_name("export.log")) as console:
        from components.export.job import export as make

        made = make(folder, examples, settings, copies)
        console.print(table_of(HEAD, rows(made)))
        for each in made:
            console.print(f"{each.form:<12} {short(each.path) if each.path else f'refused: {each.parity.refused}'}")
    refused = [each.form for each in made if each.path is None]
    if refused:
        raise ExportError(f"{store.name} {folder.name}: refused: {', '.join(refused)}. Nothing was published of these.")


@export.command(cls=Command)
@click.argument("results", type=PATH)
@click.option("--bundle", type=PATH, required=True, metavar="DIR", help="The copy that gave them.")
def verify(results: Path, bundle: Path) -> None:
    """Verify answers of any runtime to the golden pictures of a bundle.

    RESULTS is a JSON file that has, for the name of each picture in DIR/golden, what DIR/golden.json has under
    `pictures`: `label`, `probabilities` by class and `embedding`. Exit code 13 if one differs by more than it may.
    """
    from fashion_client.golden import find_faults

    from components.errors import ExportError

    def read(path: Path) -> object:
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ExportError(
                f"{path}: cannot be read as JSON: {error}. Give the file that the runtime wrote."
            ) from error

    golden, answers = read(bundle / "golden.json"), read(results)
    assert isinstance(golden, dict)
    faults = find_faults(golden, answers if isinstance(answers, dict) else {})
    for fault in faults:
        click.echo(fault, err=True)
    count = len(golden["pictures"])
    click.echo(f"{count - len(faults)} of {count} golden pictures are answered as by the model")
    sys.exit(ExportError.exit_code if faults else 0)


def _examples(version: Path, root: Path, database: str | None) -> Path:
    """The examples of the run that published a version."""
    from components.errors import ExportError
    from pipeline.history import open_history
    from pipeline.paths import Paths

    for published, run in open_history(Paths(Path(), root, database).metadata).published(version.parent.name):
        if str(published) == version.name and (examples := run.stage("ingest").folder("examples")):
            return examples
    raise ExportError(f"{version}: the examples of its run are not to be found. Give their folder with --data.")
