"""The classes of a recipe: those of a reviewed taxonomy, or those that a catalogue's own column holds."""

from collections import Counter
from pathlib import Path

from pydantic import ValidationError

from components.errors import CatalogueError, RecipeError
from components.features import HIERARCHY, LabelColumn
from components.ingest.catalogue import open_catalogue
from components.ingest.settings import DEFAULT_LAYOUT, DRAFT, Labels, Layout, Values
from components.ingest.table import Row, read_rows
from components.reading import choices
from components.transform.taxonomy import Taxonomy, load_taxonomy, plain


def taxonomies_of(labels: Labels, data: Path, layout: Layout = DEFAULT_LAYOUT) -> tuple[Taxonomy, ...]:
    """Returns what assigns the classes, the main column's first; the others' from fine to coarse.

    The catalogue at `data` is looked at only where a column's values are the classes.

    Raises:
        RecipeError: there is no such taxonomy, or `merge` or `ignore` name values that the column does not have.
        CatalogueError: there is no catalogue, or its table cannot be read, lacks the column, or leaves fewer than two
            classes.
    """
    main = (load_taxonomy(labels.taxonomy),) if labels.taxonomy else ()
    columns: dict[LabelColumn, Values] = {labels.column: labels} if labels.column else {}
    columns |= {name: labels.columns[name] for name in sorted(labels.columns, key=(*HIERARCHY, *labels.columns).index)}
    if not columns:
        return main
    counts = {column: Counter[str]() for column in columns}
    for row in read_rows(open_catalogue(str(data), layout), list(columns)):
        fields = row.fields if isinstance(row, Row) else {}
        for column in columns:
            if column in fields:
                counts[column][fields[column]] += 1
    return (*main, *(taxonomy_of_values(name, values, counts[name]) for name, values in columns.items()))


def taxonomy_of(labels: Labels, data: Path, layout: Layout = DEFAULT_LAYOUT) -> Taxonomy:
    """Returns what assigns the main column's classes, see `taxonomies_of`."""
    return taxonomies_of(labels, data, layout)[0]


def taxonomy_of_values(column: LabelColumn, labels: Values, rows: Counter[str]) -> Taxonomy:
    """Chooses the classes of a column, given how many rows have each of its values.

    Values that differ in their Unicode form alone are of one class. Classes come in the order of their names. Of two
    with as many rows, `top` takes the one whose name comes first.
    """
    ignored = set(map(plain, labels.ignore))
    names = {plain(value): plain(name) for name, values in labels.merge.items() for value in values}
    known = sorted(set(map(plain, rows)))
    for value in (*ignored, *names):
        if value not in known:
            raise RecipeError(f"labels: no row has the value {value!r}; {choices(value, known)}")
    class_of = {value: names.get(plain(value), plain(value)) for value in rows if plain(value) not in ignored}
    sizes: Counter[str] = Counter()
    for value, name in class_of.items():
        sizes[name] += rows[value]
    ranked = sorted((name for name in sizes if sizes[name] >= labels.minimum), key=lambda name: (-sizes[name], name))
    classes = sorted(ranked[: labels.top])
    if len(classes) < 2:
        raise CatalogueError(
            f"labels: {column} holds {len(classes)} classes to learn, of {len(rows)} values, and there "
            f"have to be two. Choose another column, or a smaller labels.minimum; or {DRAFT}"
        )
    try:
        return Taxonomy(
            name=column,
            classes=tuple(classes),
            column=column,
            values={value: name for value, name in sorted(class_of.items()) if name in classes},
        )
    except ValidationError as error:
        reason = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise CatalogueError(f"labels: {column}: {reason}. Give it another with merge.") from None
