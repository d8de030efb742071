"""The classes of a recipe: those of a reviewed taxonomy, or those that a catalogue's own column holds."""

from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

from pydantic import ValidationError

from components.errors import CatalogueError, RecipeError
from components.ingest.catalogue import open_catalogue
from components.ingest.settings import DEFAULT_LAYOUT, DRAFT, Labels, Layout
from components.ingest.table import Row, read_rows
from components.reading import choices
from components.transform.taxonomy import Taxonomy, load_taxonomy, plain


def taxonomy_of(labels: Labels, data: Path, layout: Layout = DEFAULT_LAYOUT) -> Taxonomy:
    """Returns what assigns the classes; the catalogue at `data` is looked at only where a column does.

    Raises:
        RecipeError: there is no such taxonomy, or `merge` or `ignore` name values that the column does not have.
        CatalogueError: there is no catalogue, or its table cannot be read, lacks the column, or leaves fewer than two
            classes.
    """
    if labels.taxonomy is not None:
        return load_taxonomy(labels.taxonomy)
    column = str(labels.column)
    catalogue = open_catalogue(str(data), layout)
    rows = (row for row in read_rows(catalogue, [column]) if isinstance(row, Row))
    return taxonomy_of_values(labels, Counter(row.fields[column] for row in rows if column in row.fields))


def taxonomy_of_values(labels: Labels, rows: Counter[str]) -> Taxonomy:
    """Chooses the classes of a column, given how many rows have each of its values.

    Values that differ in their Unicode form alone are of one class. Classes come in the order of their names. Of two
    with as many rows, `top` takes the one whose name comes first.
    """
    ignored = set(map(plain, labels.ignore))
    names = {plain(value): plain(name) for name, values in labels.merge.items() for value in values}
    _check_known([*ignored, *names], set(map(plain, rows)))
    class_of = {value: names.get(plain(value), plain(value)) for value in rows if plain(value) not in ignored}
    sizes: Counter[str] = Counter()
    for value, name in class_of.items():
        sizes[name] += rows[value]
    ranked = sorted((name for name in sizes if sizes[name] >= labels.minimum), key=lambda name: (-sizes[name], name))
    classes = sorted(ranked[: labels.top])
    if len(classes) < 2:
        raise CatalogueError(
            f"labels.column: {labels.column} holds {len(classes)} classes to learn, of {len(rows)} values, and there "
            f"have to be two. Choose another column, or a smaller labels.minimum; or {DRAFT}"
        )
    try:
        return Taxonomy(
            name=str(labels.column),
            classes=tuple(classes),
            column=labels.column,
            values={value: name for value, name in sorted(class_of.items()) if name in classes},
        )
    except ValidationError as error:
        reason = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise CatalogueError(f"labels.column {labels.column}: {reason}. Give it another with labels.merge.") from None


def _check_known(values: Iterable[str], known: Collection[str]) -> None:
    for value in values:
        if value not in known:
            raise RecipeError(f"labels: no row has the value {value!r}; {choices(value, sorted(known))}")
