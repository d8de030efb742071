"""The features of an example, as ingest writes them and every later stage reads them.

A missing value (empty, `NA` or another word of `catalogue.missing`) is an absent feature, never a placeholder.
"""

from typing import Literal

ID = "id"  # bytes: what the catalogue calls the product, e.g. digits or a SKU
YEAR = "year"
NAME = "productDisplayName"  # the one column that describes a product in words

# The columns of styles.csv, in its order. All that describe a product are bytes, except the year, which is int64.
COLUMNS = (ID, "gender", "masterCategory", "subCategory", "articleType", "baseColour", "season", YEAR, "usage", NAME)
# Those whose values can be classes.
LabelColumn = Literal["gender", "masterCategory", "subCategory", "articleType", "baseColour", "season", "usage"]
HIERARCHY = ("articleType", "subCategory", "masterCategory")  # each value belongs to one of the next column
TEXT_COLUMNS = tuple(column for column in COLUMNS if column not in (ID, YEAR))

IMAGE_BYTES = "image_bytes"  # bytes: encoded JPEG, RGB or grey, at most stored_side on its longer side
PICTURE_HASH = "picture_hash"  # bytes: hex digest of the picture as it lay in the catalogue
WIDTH, HEIGHT = "width", "height"  # int64: pixels of the picture as it lay in the catalogue

# Added by Transform.
LABEL = "label"  # int64: index into the taxonomy's classes; `<column>_label` for each further column, -1 where missing
KIND = "kind"  # bytes: what a product is, in words, where a recipe has `outside`
REPEAT = "repeat"  # int64: how often a training example is used; 0 leaves it out


def label_of_column(column: str) -> str:
    """Returns the name of a further column's label, as a feature and as the model's output."""
    return f"{column}_{LABEL}"
