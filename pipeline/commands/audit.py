"""`fashion audit`: which labels are probably wrong, and a page to decide about them."""

from pathlib import Path

import click

from pipeline.commands import PATH, ROOT, Command
from pipeline.commands.training import metadata_option


@click.command(cls=Command)
@click.argument("run", default="latest")
@click.option("--most", type=click.IntRange(min=1), default=2000, help="Suspects to write.")
@click.option("--out", type=PATH, help="Folder to write.  [default: ROOT/audits/RUN]")
@click.option("--open", "show", is_flag=True, help="Open the page in the browser.")
@ROOT
@click.option(
    "--from-label-studio",
    "export",
    type=PATH,
    metavar="EXPORT",
    help="Audit nothing: write what was decided in Label Studio, exported as JSON, as corrections.csv.",
)
@metadata_option
def audit(
    run: str, most: int, out: Path | None, show: bool, root: Path, export: Path | None, database: str | None
) -> None:
    """List labels that are probably wrong. RUN is as for `fashion report`; it came at least through ingest.

    Each product of every split is judged by the pictures most like its own and the words of its name, its own label
    left out. --out gets suspects.csv, the surest first; review.html, a page to decide on, by keyboard; and
    label_studio.json with label_studio.xml for teams that have that. The page exports corrections.csv.

    \b
      fashion audit --open
      fashion run --recipe mine/recipe.yaml --data shop/ \\
          --set labels.corrections=corrections.csv
    """
    if export:
        from components.audit.label_studio import corrections_of
        from components.ingest.corrections import CORRECTIONS_FILE
        from pipeline.textfile import replace_text

        file = (out or Path()) / CORRECTIONS_FILE
        replace_text("--out", file, corrections_of(export))
        click.echo(file)
        return
    from components.progress import listen
    from pipeline.history import open_history
    from pipeline.paths import Paths, short
    from pipeline.view import RunView, quiet

    paths = Paths(root.absolute(), root.absolute(), database)
    found = open_history(paths.metadata).find(run)
    folder = out or paths.root / "audits" / found.id
    with quiet(paths.logs / "audit.log") as console, RunView(console) as view, listen(view.progress):
        view.started("audit")
        from components.audit.collect import audit as look
        from components.audit.review import REVIEW_FILE, write_audit
        from components.report.reading import Reading
        from pipeline.reporting import sources_of

        result = look(Reading(sources_of(found, paths.root), folder), paths.work / "looks.npz", most)
        write_audit(result, folder)
        counted = f"{result.products:,} products, {result.found:,} labels to look at"
        view.finished("audit", counted)
    click.echo(f"\nreview      {short(folder / REVIEW_FILE)}")
    if show:
        click.launch(str(folder / REVIEW_FILE))
