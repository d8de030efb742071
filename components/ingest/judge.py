"""What becomes of one row of the catalogue: a product with a class, a row of no class, or a fault."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from components.features import ID, NAME
from components.ingest.faults import Fault, Reason
from components.ingest.outsiders import Draw
from components.ingest.picture import CheckedPicture, Refusal, check_picture
from components.ingest.pictures import shown
from components.ingest.settings import Layout, Picture, Split
from components.ingest.source import IMAGES, Catalogue
from components.ingest.split import TEST, key_of, product_columns, variant_of
from components.ingest.table import Row
from components.outside.settings import Outside
from components.settings import Settings
from components.transform.taxonomy import NO_CLASS, Taxonomy


class IngestSettings(Settings):
    """The parts of a recipe that ingest takes."""

    catalogue: Layout = Layout()
    picture: Picture = Picture()
    split: Split = Split()
    outside: Outside | None = None
    corrections: str | None = None
    corrections_digest: str = ""  # of its content, for the cache to notice its change

    @property
    def kept(self) -> tuple[str, ...]:
        """The columns that are read besides those of the taxonomy."""
        return tuple(dict.fromkeys((*self.together, *([self.outside.kind] if self.outside else []))))

    @property
    def together(self) -> tuple[str, ...]:
        """The columns whose values keep examples in one split; the id, if a product can have several."""
        several = ID if self.catalogue.pictures == "all" else None
        return tuple(dict.fromkeys(filter(None, (*self.split.together, self.catalogue.variants, several))))


@dataclass(frozen=True, slots=True)
class Product:
    """A row that becomes an example."""

    row: Row
    class_name: str  # `NO_CLASS` for a product that is of none
    tested: bool  # whether the catalogue and not its key puts it into the test split
    picture: CheckedPicture
    picture_hash: str


@dataclass(frozen=True, slots=True)
class Unmapped:
    """A row to which the taxonomy gives no class; `fault` says why its picture is no example, if one was wanted."""

    row: Row
    fault: Fault | None = None


def judge(
    row: Row, catalogue: Catalogue, taxonomy: Taxonomy, settings: IngestSettings, drawn: Draw | None = None
) -> Product | Unmapped | Fault:
    """Decides about one row, reading its picture only if it has a class, or is drawn from those that have none."""
    class_name = taxonomy.class_of(row.fields)
    if class_name is None:
        if empty := _empty_labels(row, taxonomy):
            return _fault(row, Reason.MISSING_LABEL, f"{' and '.join(empty)} missing, so it has no class. Fill that in")
        if drawn is None or not drawn.takes(row):
            return Unmapped(row)
    found = read_checked(row, catalogue, settings.picture)
    if isinstance(found, Fault):
        return replace(found, class_name=class_name) if class_name else Unmapped(row, found)
    data, checked = found
    match settings.split.by:
        case "picture":
            tested = False
        case "given":
            tested = catalogue.part_of(row.id) == TEST
        case "year":
            tested = row.year is not None and row.year % 2 == 1
    return Product(row, class_name or NO_CLASS, tested, checked, hashlib.sha256(data).hexdigest())


def is_outside(row: Row | Fault, taxonomy: Taxonomy) -> TypeGuard[Row]:
    """Whether a row is a product of no class."""
    return isinstance(row, Row) and taxonomy.class_of(row.fields) is None and not _empty_labels(row, taxonomy)


def _empty_labels(row: Row, taxonomy: Taxonomy) -> list[str]:
    # A product's name describes it and does not label it: it may be missing.
    return [name for name in taxonomy.fields if name not in row.fields and name != NAME]


def judge_further(product: Product, name: str, number: int, catalogue: Catalogue, settings: Picture) -> Product | Fault:
    """Makes an example of another picture of a product, a file by its name; `number` counts from 2.

    Ids tell examples apart wherever answers are joined, so this one's is `<id>/<number>`: no product's id holds a
    slash, and what stands before it is the product's own, which keeps its examples in one split.
    """
    row = replace(product.row, id=f"{product.row.id}/{number}")
    outcome = _check(row, name, lambda: catalogue.read_file(name), settings)
    assert outcome is not None, "a file that is listed is read, or it is said why not"
    if isinstance(outcome, Fault):
        return replace(outcome, class_name=product.class_name)
    data, checked = outcome
    return replace(product, row=row, picture=checked, picture_hash=hashlib.sha256(data).hexdigest())


def columns_of(
    products: Sequence[Product], taxonomy: Taxonomy, together: Sequence[str], drawn: Draw | None = None
) -> NDArray[np.void]:
    """What divides products, without the places of their examples: [n] of `product_columns`."""
    lines = np.zeros(len(products), product_columns(len(together)))
    if products:
        lines["key"] = [key_of(product.row.id) for product in products]
        lines["tested"] = [product.tested for product in products]
        lines["label"] = [taxonomy.index_of(product.class_name) for product in products]
        if drawn:
            lines["kind"] = [p.class_name == NO_CLASS and drawn.number_of(p.row) for p in products]
        signatures = b"".join(product.picture.signature for product in products)
        lines["signature"] = np.frombuffer(signatures, np.uint8).reshape(len(products), -1)
        for number, column in enumerate(together):
            lines["variants"][:, number] = [variant_of(_shared(product.row, column)) for product in products]
    return lines


def _shared(row: Row, column: str) -> str | None:
    return row.id.partition("/")[0] if column == ID else row.fields.get(column)


def read_checked(row: Row, catalogue: Catalogue, settings: Picture) -> tuple[bytes, CheckedPicture] | Fault:
    """Reads a row's picture; returns its bytes as they lie in the catalogue and as they are kept, or what is wrong."""
    return _check(row, "", lambda: catalogue.read_picture(row), settings) or _missing(row, catalogue)


def _check(
    row: Row, name: str, read: Callable[[], bytes | None], settings: Picture
) -> tuple[bytes, CheckedPicture] | Fault | None:
    """Reads and checks a picture, called by its name where it is not the main one; None if there is none."""
    picture = f"its picture {shown(name)}" if name else "its picture"
    try:
        data = read()
    except OSError as error:
        return _fault(row, Reason.UNREADABLE_PICTURE, f"{picture} cannot be read ({error}). Copy it again")
    if data is None:
        return None
    checked = check_picture(data, settings)
    if isinstance(checked, Refusal):
        return _fault(row, checked.reason, f"{picture} {checked.detail}")
    return data, checked


def _missing(row: Row, catalogue: Catalogue) -> Fault:
    wanted = row.picture or (catalogue.layout.picture or f"{IMAGES}/{{id}}.jpg").replace("{id}", row.id)
    instead = f"; {hint}" if (hint := catalogue.near_misses(row)) else ""
    return _fault(row, Reason.MISSING_PICTURE, f"there is no {wanted}{instead}. Add it, or remove the row")


def _fault(row: Row, reason: Reason, detail: str) -> Fault:
    return Fault(row.number, row.id, reason, f"{row.place}, {ID} {row.id}: {detail}.")
