"""What becomes of one row of the catalogue: a product with a class, a row of no class, or a fault."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from components.features import ID, NAME
from components.ingest.faults import Fault, Reason
from components.ingest.picture import CheckedPicture, Refusal, check_picture
from components.ingest.settings import Layout, Picture, Split
from components.ingest.source import IMAGES, Catalogue
from components.ingest.split import TEST, key_of, product_columns, variant_of
from components.ingest.table import Row
from components.settings import Settings
from components.transform.taxonomy import Taxonomy


class IngestSettings(Settings):
    """The parts of a recipe that ingest takes."""

    catalogue: Layout = Layout()
    picture: Picture = Picture()
    split: Split = Split()

    @property
    def together(self) -> tuple[str, ...]:
        """The columns whose values keep products in one split."""
        return tuple(dict.fromkeys(filter(None, (*self.split.together, self.catalogue.variants))))


@dataclass(frozen=True, slots=True)
class Product:
    """A row that becomes an example; `tested`, where the catalogue and not its key puts it into the test split."""

    row: Row
    class_name: str
    tested: bool
    picture: CheckedPicture
    picture_hash: str


@dataclass(frozen=True, slots=True)
class Unmapped:
    """A row to which the taxonomy gives no class; its picture was not looked at."""

    row: Row


def judge(row: Row, catalogue: Catalogue, taxonomy: Taxonomy, settings: IngestSettings) -> Product | Unmapped | Fault:
    """Decides about one row, reading its picture only if it has a class."""
    class_name = taxonomy.class_of(row.fields)
    if class_name is None:
        # A product's name describes it and does not label it: it may be missing.
        empty = [name for name in taxonomy.fields if name not in row.fields and name != NAME]
        if not empty:
            return Unmapped(row)
        return _fault(row, Reason.MISSING_LABEL, f"{' and '.join(empty)} missing, so it has no class. Fill that in")
    found = read_checked(row, catalogue, settings.picture)
    if isinstance(found, Fault):
        return replace(found, class_name=class_name)
    data, checked = found
    match settings.split.by:
        case "picture":
            tested = False
        case "given":
            tested = catalogue.part_of(row.id) == TEST
        case "year":
            tested = row.year is not None and row.year % 2 == 1
    return Product(row, class_name, tested, checked, hashlib.sha256(data).hexdigest())


def columns_of(products: Sequence[Product], taxonomy: Taxonomy, together: Sequence[str]) -> NDArray[np.void]:
    """What divides products, without the places of their examples: [n] of `product_columns`."""
    lines = np.zeros(len(products), product_columns(len(together)))
    if products:
        lines["key"] = [key_of(product.row.id) for product in products]
        lines["tested"] = [product.tested for product in products]
        lines["label"] = [taxonomy.index_of(product.class_name) for product in products]
        signatures = b"".join(product.picture.signature for product in products)
        lines["signature"] = np.frombuffer(signatures, np.uint8).reshape(len(products), -1)
        for number, column in enumerate(together):
            lines["variants"][:, number] = [variant_of(product.row.fields.get(column)) for product in products]
    return lines


def read_checked(row: Row, catalogue: Catalogue, settings: Picture) -> tuple[bytes, CheckedPicture] | Fault:
    """Reads a row's picture; returns its bytes as they lie in the catalogue and as they are kept, or what is wrong."""
    try:
        data = catalogue.read_picture(row)
    except OSError as error:
        return _fault(row, Reason.UNREADABLE_PICTURE, f"its picture cannot be read ({error}). Copy it again")
    if data is None:
        wanted = row.picture or (catalogue.layout.picture or f"{IMAGES}/{{id}}.jpg").replace("{id}", row.id)
        instead = f"; {hint}" if (hint := catalogue.near_misses(row)) else ""
        return _fault(row, Reason.MISSING_PICTURE, f"there is no {wanted}{instead}. Add it, or remove the row")
    checked = check_picture(data, settings)
    if isinstance(checked, Refusal):
        return _fault(row, checked.reason, f"its picture {checked.detail}")
    return data, checked


def _fault(row: Row, reason: Reason, detail: str) -> Fault:
    return Fault(row.number, row.id, reason, f"{row.place}, {ID} {row.id}: {detail}.")
