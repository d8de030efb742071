"""Looks at a catalogue: what its table and pictures are, and what of its rows cannot be used."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from components.errors import CatalogueError
from components.features import ID
from components.ingest.catalogue import TABLES, open_catalogue, open_files
from components.ingest.columns import listed
from components.ingest.formats import open_every_table
from components.ingest.pictures import Pictures, is_picture
from components.ingest.settings import DEFAULT_LAYOUT, PICTURE, Layout
from components.ingest.source import Catalogue, ShopCatalogue
from components.ingest.table import Row, read_rows
from components.ingest.table_format import Table
from components.ingest.values import Cells
from components.inspect.contents import Content, read_contents
from components.inspect.pictures import PictureCounts, find_template, look_at
from components.inspect.roles import Use, best_label, find_uses, find_variants
from components.inspect.rows import Rows, count_rows

_FIRST_ROWS, _MOST_LABELS, _HALF = 1_000, 1_000, 0.5


@dataclass
class Inspection:
    """What was found out about a catalogue, which is opened as `layout` says."""

    data: str
    catalogue: Catalogue
    table: str  # name of its table, or of several that are parts of one
    dialect: Mapping[str, str]  # encoding, separator and the like, in words
    contents: list[Content]  # what each column holds; `uses` say what it is for, in the same order
    uses: list[Use]
    layout: Layout
    rows: Rows
    pictures: PictureCounts

    @property
    def roles(self) -> dict[str, str]:
        """Role to the column that fills it."""
        return {use.role: use.column for use in self.uses if use.role}

    def column_of(self, role: str) -> str:
        """Returns the column that fills a role; the role where it has got another column than the header suggests."""
        return self.roles.get(role, role)

    def read_rows(self) -> Iterator[Row]:
        """Reads the rows that can be used."""
        return (row for row in read_rows(self.catalogue, ()) if isinstance(row, Row))

    def as_json(self) -> dict[str, Any]:
        """Everything but values of single rows, as JSON holds it."""
        columns = [asdict(use) | {"values": len(content.values), "missing": content.rows - content.present}
                   for use, content in zip(self.uses, self.contents, strict=True)]  # fmt: skip
        labels = {role: dict(counts.most_common(_MOST_LABELS)) for role, counts in self.rows.labels.items()}
        pictures = {**vars(self.pictures), "sizes": [self.pictures.median] if self.pictures.sizes else []}
        rows, layout = vars(self.rows) | {"labels": labels}, self.layout.model_dump()
        return {"data": self.data, "table": self.table, "dialect": dict(self.dialect), "columns": columns,
                "rows": rows, "pictures": pictures, "layout": layout}  # fmt: skip


def inspect_catalogue(data: Path, layout: Layout = DEFAULT_LAYOUT) -> Inspection:
    """Finds out what a catalogue is like; pictures are looked at by name, and a sample of them by header.

    How to read it is found out as far as `layout` does not say it.

    Raises:
        CatalogueError: there is none, or no table in it can be read.
    """
    catalogue = _open(str(data), layout)
    names = _picture_names(catalogue)
    tables = _alike(open_every_table(catalogue))
    first = tables[0]
    contents = _contents(tables, catalogue.layout, Pictures(names, "", lambda _: False))
    uses = find_uses(contents, first.columns)
    if sum(content.name in content.values for content in contents) > 1:
        raise CatalogueError(
            f"{first.place}: its first row is a product, {listed(first.names)}. Put one above that names the columns."
        )
    if all(use.role != ID for use in uses):
        raise CatalogueError(
            f"{first.place}: none of its columns {listed(first.names)} can be the ids: all values are different "
            "in none, and none names the pictures. Add a column of ids."
        )
    layout = _completed(catalogue.layout, contents, uses, names)
    catalogue = open_catalogue(str(data), layout)
    labels = {use.role: content.values for use, content in zip(uses, contents, strict=True) if use.role}
    rows, counts = count_rows(catalogue, best_label(labels))
    counts.files = len(names) or counts.matched
    look_at(counts, names, catalogue.read_file)
    place = ", ".join(table.place for table in tables)
    return Inspection(str(data), catalogue, place, first.describe(), contents, uses, layout, rows, counts)


def _open(data: str, layout: Layout) -> Catalogue:
    """Opens a catalogue; of several tables with different columns that whose rows have most pictures."""
    try:
        return open_catalogue(data, layout)
    except CatalogueError:
        tables = [] if layout.table else [name for name in open_files(data).names() if name.lower().endswith(TABLES)]
        matches = {name: _share_of_pictures(data, layout.model_copy(update={"table": name})) for name in tables}
        best = max(matches, key=lambda name: matches[name], default="")
        if len(tables) < 2 or not matches[best]:
            raise
        return open_catalogue(data, layout.model_copy(update={"table": best}))


def _share_of_pictures(data: str, layout: Layout) -> float:
    """For how many of a table's first rows some column names a picture."""
    try:
        catalogue = open_catalogue(data, layout)
        pictures = Pictures(_picture_names(catalogue), "", lambda _: False)
        contents = _contents(open_every_table(catalogue), layout, pictures, _FIRST_ROWS)
    except CatalogueError:
        return 0.0
    return max((max(content.ids, content.files) for content in contents if content.distinct >= _HALF), default=0.0)


def _alike(tables: Sequence[Table]) -> list[Table]:
    """The first table of products, and those with the same columns: the parts of one."""
    products = [table for table in tables if ID in table.columns] or tables
    return [table for table in products if table.names == products[0].names]


def _contents(tables: Sequence[Table], layout: Layout, pictures: Pictures, most: int | None = None) -> list[Content]:
    names = tables[0].names
    records = (record for table in tables for record in table.records(lambda values: len(values) == len(names)))
    rows = (record.values for record in islice(records, most))
    return read_contents(names, rows, Cells(layout.missing), pictures)


def _picture_names(catalogue: Catalogue) -> list[str]:
    return [*filter(is_picture, catalogue.files.names())] if isinstance(catalogue, ShopCatalogue) else []


def _completed(layout: Layout, contents: Sequence[Content], uses: Sequence[Use], names: Sequence[str]) -> Layout:
    """The layout with all that was found out which a run would not find by itself."""
    roles = {use.role: use.column for use in uses if use.role and not use.named}
    ids = next((content for content, use in zip(contents, uses, strict=True) if use.role == ID), None)
    picture = layout.picture
    if ids and not picture and ids.ids < _HALF and all(use.role != PICTURE for use in uses):
        picture = find_template(ids.values, names)
    variants = layout.variants or find_variants(contents, uses)
    return layout.model_copy(update={"columns": {**layout.columns, **roles}, "picture": picture, "variants": variants})
