"""What becomes of a catalogue's rows, as ingest reads them, and whether their pictures are there."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import resources
from pathlib import Path

from components.features import ID
from components.ingest.faults import VARIANT_ROWS, Fault, Reason
from components.ingest.formats import open_tables
from components.ingest.source import Catalogue
from components.ingest.table import read_rows
from components.ingest.table_format import Table
from components.ingest.values import Cells, product_id
from components.inspect.pictures import PictureCounts
from components.inspect.roles import LABELS
from components.transform.taxonomy import load_taxonomy

_EXAMPLES = 3


@dataclass
class Rows:
    """What became of the rows, as ingest reads them."""

    products: int = 0  # how many can be used, as far as the table says
    # How many cannot, by reason; `examples` are the first rows of each, a sentence each.
    faults: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    repaired: Counter[str] = field(default_factory=Counter)  # how many repairs by kind
    variants: int = 0  # rows that only tell of a product's variants
    labels: dict[str, Counter[str]] = field(default_factory=dict)  # role to how many products have each value
    # Taxonomy to how many products are in each of its classes; of taxonomies whose columns there are.
    classes: dict[str, Counter[str]] = field(default_factory=dict)
    contradictory: list[str] = field(default_factory=list)  # ids of rows that stand twice and differ in a label

    @property
    def all(self) -> int:
        """Rows of the table, those of variants aside."""
        return self.products + self.faults.total()


def count_rows(catalogue: Catalogue, label: str | None) -> tuple[Rows, PictureCounts]:
    """Reads the rows as ingest does, given the role of the labels, and finds the pictures of each by name.

    Raises:
        CatalogueError: the table cannot be read to its end.
    """
    rows, counts, passed = Rows(), PictureCounts(), Counter[str]()
    folder = Path(str(resources.files("schema"))) / "taxonomies"
    taxonomies = [load_taxonomy(path.stem) for path in sorted(folder.glob("*.yaml"))]
    twice: set[str] = set()
    for row in read_rows(catalogue, [label] if label else (), passed=passed):
        if isinstance(row, Fault):
            rows.faults[row.reason] += 1
            if row.reason == Reason.DUPLICATE_ID:
                twice.add(row.id)
            if rows.faults[row.reason] <= _EXAMPLES:
                rows.examples.setdefault(row.reason, []).append(row.detail)
            continue
        rows.products += 1
        rows.repaired.update(row.repaired)
        for role in LABELS:
            if role in row.fields:
                rows.labels.setdefault(role, Counter())[row.fields[role]] += 1
        for taxonomy in taxonomies:
            rows.classes.setdefault(taxonomy.name, Counter()).update(filter(None, [taxonomy.class_of(row.fields)]))
        pictures = catalogue.picture_names(row)
        counts.matched += bool(pictures)
        counts.further += max(0, len(pictures) - 1)
        if not pictures and len(counts.without) < _EXAMPLES:
            counts.without.append((row.id, catalogue.near_misses(row)))
    rows.variants = passed[VARIANT_ROWS]
    if twice:
        rows.contradictory = _contradictory(catalogue, twice)
    return rows, counts


def _contradictory(catalogue: Catalogue, twice: Collection[str]) -> list[str]:
    """Those of some ids whose rows differ in a label."""
    cells, labels = Cells(catalogue.layout.missing), defaultdict[tuple[str, str], set[str]](set)
    for table in open_tables(catalogue, ()):
        places = {role: table.columns[role].index for role in (ID, *LABELS) if role in table.columns}
        own, is_row = places.pop(ID), partial(_fits, table)
        for record in filter(lambda record: is_row(record.values), table.records(is_row)):
            cell = cells[record.values[own]]
            if (product := product_id(cell) or "") in twice:
                values = {role: cells[record.values[place]] for role, place in places.items()}
                for role, value in values.items():
                    labels[product, role] |= {value} if value else set()
    return sorted({product for (product, _), values in labels.items() if len(values) > 1})


def _fits(table: Table, values: Sequence[str]) -> bool:
    return len(values) == len(table.names)
