"""`fashion index` and `fashion similar`: products that look like others."""

import json
import os
from pathlib import Path
from typing import Any

import click

from pipeline.commands import JSON, PATH, ROOT, Command
from pipeline.commands.batch import BEAM, read_beam
from pipeline.commands.predict import READING

EXIT_CODES = """
\b
Exit codes: 0 the index is published, or was · 2 wrong option ·
3 the catalogue cannot be read · 7 the index cannot be written ·
10 the model cannot be used · 130 stopped by Ctrl-C
"""


@click.command(cls=Command, epilog=EXIT_CODES)
@click.argument("model")
@click.option("--data", type=PATH, required=True, help="The catalogue: a folder, zip or tar.")
@READING
@ROOT
@click.option("--model-version", "version", type=click.IntRange(min=0), help="[default: stable, or the newest]")
@click.option("--update", is_flag=True, help="The catalogue holds changes: products that it lacks stay.")
@click.option("--remove", type=click.File(), help="Ids of products to take out, one a line; with --update.")
@click.option("--to", metavar="URL", help="Publish it to a Qdrant database too: qdrant://HOST:6333/COLLECTION.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="A setting of the recipe's `index`.")
@BEAM
def index(
    model: str,
    data: Path,
    reading: Path | None,
    root: Path,
    version: int | None,
    update: bool,
    remove: Any,
    to: str | None,
    overrides: tuple[str, ...],
    beam: str,
) -> None:
    """Make a catalogue searchable by what products look like.

    MODEL is the published one that looks at them.

    The index is a version of its own, <root>/indexes/MODEL/<version>/, and answers for that model alone. Pictures that
    were in the one before are not asked about again. A command that was stopped goes on where it was. A database's key
    is taken from QDRANT_API_KEY.

    \b
      fashion index six_class --data shop.zip
      fashion index six_class --data today.zip --update --remove sold_out.txt
      fashion models rollback six_class --serving runs/indexes
    """
    if remove and not update:
        raise click.UsageError("--remove goes with --update: without it, what the catalogue lacks is not there anyway.")
    from contextlib import nullcontext

    from rich.text import Text

    from components.answers.inputs import Products
    from components.answers.settings import read_settings
    from components.index import summary
    from components.index.asking import open_place
    from components.index.content import Change
    from components.index.settings import Index
    from components.ingest.settings import load_layout
    from components.progress import listen
    from pipeline.asking import find_model
    from pipeline.paths import short
    from pipeline.recipe import overridden
    from pipeline.run import set_up_logging
    from pipeline.summary import table_of
    from pipeline.view import RunView, quiet

    folder = find_model(root / "serving", model, version)
    known = read_settings(folder)
    settings = overridden(known.index or Index(), overrides)
    products = Products(data, folder, load_layout(reading) if reading else None, settings.kept)
    store = Path(os.path.abspath(root)) / "indexes" / model
    change = Change(update, frozenset(line.strip() for line in remove or () if line.strip()))
    at = open_place(to) if to else nullcontext()
    with at as place, quiet(store.with_name(f"{model}.log")) as console:
        console.print(Text(f"{short(folder)} · {data} → {short(store)}\n"))
        with RunView(console) as view:
            view.started("index")
            set_up_logging()
            from components.index.build import build_index

            with listen(view.progress):
                done = build_index(products, folder, store, settings, read_beam(beam), change)
            facts = done.index.facts
            left_out = [f"{count:,} {reason}" for reason, count in facts["left_out"].items()]
            said = [f"{len(done.index):,} products", "as before" if done.already else f"{done.embedded:,} embedded now"]
            view.finished("index", ", ".join([*said, *left_out]))
            if place:
                from components.index.qdrant import publish_index

                view.started("qdrant")
                with listen(view.progress):
                    collection = publish_index(place, done.index, settings.keep)
                view.finished("qdrant", f"{place.collection} → {collection}")
        if facts["figures"]:
            console.print(table_of(summary.HEAD, summary.rows(summary.summarize(done.index.folder.name, facts))))
        console.print(Text(f"\nindex       {short(done.index.folder)}"))


@click.command(cls=Command)
@click.argument("images", nargs=-1, metavar="[IMAGE...]")
@click.option("--id", "ids", multiple=True, metavar="ID", help="A product of the index. Repeatable.")
@click.option("--where", default="", show_default=False, metavar="FILTER", help="Only products that meet it, in SQL.")
@click.option("--k", type=click.IntRange(1, 1000), default=12, help="How many.")
@click.option("--per-family", type=click.IntRange(0), default=0, help="Most variants of one product; 0: any.")
@click.option("--diversity", type=click.FloatRange(0, 0.99), default=0.0, help="Towards 1 they differ from each other.")
@click.option("--goes-with", is_flag=True, help="Of other categories, for the same person and occasion; with --id.")
@click.option("--model-name", metavar="NAME", help="Which model, if several are published.")
@ROOT
@click.option("--index", "url", metavar="URL", help="Ask a Qdrant database: qdrant://HOST:6333/COLLECTION.")
@click.option("--html", type=PATH, metavar="FILE", help="Write a page with the pictures.")
@JSON
def similar(
    images: tuple[str, ...], ids: tuple[str, ...], model_name: str | None, root: Path, url: str | None,
    html: Path | None, as_json: bool, **query: Any,
) -> None:  # fmt: skip
    """Find products that look like a picture or another product. Several are asked about together.

    Products asked about are left out, and those that look the same are named together. The index is the one of the
    version that serves; `fashion index` makes it.

    \b
      fashion similar shoe.jpg
      fashion similar --id 15970 --where "gender = 'Women'" --html page.html
      fashion similar --id 15970 --id 39386 --diversity 0.3        more like these
      fashion similar --id 15970 --goes-with
    """
    if not images and not ids:
        raise click.UsageError("Give pictures, or products with --id.")
    from components.index.asking import describe, open_index, similar_to
    from pipeline.asking import Choice, asking, find_model

    folder = find_model(root / "serving", model_name, None)
    with open_index(folder, url) as index:
        matches = similar_to(index, images, ids, lambda: asking(Choice(model=folder)), **query)
    if html:
        from pipeline.view import quiet

        with quiet(Path(os.devnull)):  # TensorFlow, which decodes the pictures, says what nobody asked
            from components.index.gallery import write_gallery

            written = write_gallery(html, index, images, ids, query, matches)
        click.echo(written, err=True)
    if as_json:
        click.echo(json.dumps(describe(index, matches), ensure_ascii=False, indent=2))
    elif not html:
        for match in matches:
            same = f"  (looks the same: {', '.join(match.same)})" if match.same else ""
            click.echo(f"{match.score:.3f}  {match.id:<12}  {' · '.join(map(str, match.attributes.values()))}{same}")
