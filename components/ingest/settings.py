"""What ingest can be told: how to read a catalogue, its classes, how products are divided, which pictures it takes."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from components.features import COLUMNS, LabelColumn
from components.reading import choices, read_mapping, validated
from components.settings import SPLITS, Count, Settings, Share

# Ends every refusal that a draft would solve.
DRAFT = "`fashion inspect DATA --draft DIR` writes a recipe for it."

PICTURE = "picture"  # the role of the column that names a product's picture
ROLES = (*COLUMNS, PICTURE)

# What programs write for "no value", in lower case: spreadsheets and pandas, databases, R, and people.
_MISSING = (
    "", "na", "n/a", "#n/a", "<na>", "#nv", "n.a.", "k.a.", "k. a.", "nan", "nat", "none", "null", "(null)", "nil",
    r"\n", "undefined", "(blank)", "(leer)", "#ref!", "#value!", "#name?", "-", "--", "–", "—",
)  # fmt: skip


class Layout(Settings):
    """How to read a catalogue. What is not given is found out."""

    table: str | None = Field(
        default=None,
        description="name or glob of the table within the catalogue; else styles.csv, or the only table, or all tables "
        "if they have one header",
    )
    encoding: str | None = Field(default=None, description="of the whole table, e.g. utf-8, utf-16, cp1252")
    separator: str | None = Field(default=None, description="the character between two values")
    columns: dict[str, str] = Field(
        default={}, description="our name of a column, or picture, and the catalogue's name of it"
    )
    missing: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=_MISSING, description="what stands for no value, in any capitals"
    )
    picture: str | None = Field(
        default=None,
        description="where a product's picture is, e.g. images/{id}.jpg; else the column picture says so, or it is the "
        "file that is called like the id",
    )
    pictures: Literal["main", "all"] = Field(
        default="main", description="of several pictures of a product, whether the first or each becomes an example"
    )
    variants: str | None = Field(
        default=None, description="the catalogue's column whose value variants of a product share: one split for them"
    )

    @model_validator(mode="after")
    def _can_be_read(self) -> "Layout":
        for role in self.columns:
            if role not in ROLES:
                raise ValueError(f"columns: there is no column {role!r} to fill; {choices(role, ROLES)}")
        if self.separator is not None and (len(self.separator) != 1 or self.separator in '"\r\n'):
            raise ValueError(f'separator: {self.separator!r} is not one character; write a tab as "\\t"')
        if self.encoding is not None:
            try:
                "".encode(self.encoding)
            except LookupError:
                raise ValueError(f"encoding: Python knows none called {self.encoding!r}; e.g. utf-8, cp1252") from None
        if self.picture is not None and set(re.findall(r"{(.*?)}", self.picture)) != {"id"}:
            raise ValueError(f"picture: {self.picture!r} needs {{id}} and no other braces, e.g. images/{{id}}.jpg")
        return self


DEFAULT_LAYOUT = Layout()


def load_layout(path: Path) -> Layout:
    """Reads a layout from a YAML file.

    Raises:
        RecipeError: it cannot be read, or says something it may not.
    """
    return validated(Layout, read_mapping(path, "catalogue's layout"), path.name)


class Values(Settings):
    """Which values of a column are classes."""

    top: Count | None = Field(default=None, description="only the classes with most rows, this many")
    minimum: Count = Field(default=1, description="only classes with at least this many rows")
    merge: dict[str, Annotated[tuple[str, ...], Field(strict=False)]] = Field(
        default={}, description="a class, and the values that are all called so"
    )
    ignore: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(), description="values that are of no class"
    )
    corrections: str | None = Field(
        default=None, description="path of a CSV file of decisions about single labels, as `fashion audit` makes it"
    )

    @model_validator(mode="after")
    def _once(self) -> Self:
        merged = [value for values in self.merge.values() for value in values]
        for value in {value for value in merged if merged.count(value) > 1 or value in self.ignore}:
            raise ValueError(f"{value!r} is merged twice, or merged and ignored; name it once")
        return self


class Tag(Values):
    """A further column that the model answers; a product without a value counts neither in training nor in its gate."""

    weight: Annotated[float, Field(gt=0, le=10, description="of its loss, where the main column's is 1")] = 1.0
    accuracy: Share = Field(default=0.0, description="on the test split, at least")
    macro_f1: Share = Field(default=0.0, description="mean over the classes that occur in the test split, at least")
    accepted: Share = Field(default=0.95, description="accuracy wanted among accepted answers; fitted on eval")


class Labels(Values):
    """Which class a product belongs to: by the rules of a taxonomy, or by the value of a column.

    This is the main column, which balance, splits and gate are about. Further ones share its network.
    """

    taxonomy: str | None = Field(default=None, description="name of a file in schema/taxonomies, or a path to one")
    column: LabelColumn | None = Field(
        default=None, description="in place of a taxonomy: its values in the catalogue are the classes"
    )
    columns: dict[LabelColumn, Tag] = Field(
        default={}, description="what else is answered; without taxonomy and column, the first is the main column"
    )

    @model_validator(mode="before")
    @classmethod
    def _first_is_main(cls, given: Any) -> Any:
        columns = given.get("columns") if isinstance(given, dict) else None
        if not isinstance(columns, dict) or not columns or given.get("taxonomy") or given.get("column"):
            return given
        column, values = next(iter(columns.items()))
        return {
            **given,
            **(values or {}),
            "column": column,
            "columns": {k: v for k, v in columns.items() if k != column},
        }

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.taxonomy) == bool(self.column):
            raise ValueError("give either taxonomy or column")
        if self.taxonomy and (self.top or self.minimum > 1 or self.merge or self.ignore):
            raise ValueError("top, minimum, merge and ignore go with column; in a taxonomy the rules say such things")
        if self.column in self.columns:
            raise ValueError(f"{self.column} is the main column, and among columns too; name it once")
        return self


class Split(Settings):
    """How products are divided: by the hash of their id, in these proportions; those with the same picture together.

    The same picture is one that looks the same: its copies saved anew, or a little smaller, go where it goes.

    Where `by` is given, `test` is what the data set was published with to test on, and where it is year, all products
    of odd years, whatever its proportion. The rest, products without a year among it, is divided into train and eval.
    """

    by: Literal["picture", "given", "year"] = Field(
        default="picture", description="hash of the id, the data set's own test part, or odd years for the test"
    )
    together: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(), description="columns: products with the same value are variants of one, and stay together"
    )
    train: Count = Field(default=80, description="weight: what is learnt from")
    eval: Count = Field(default=10, description="weight: what choices are made on")
    test: Count = Field(default=10, description="weight: what the gate judges, once")

    def shares(self) -> dict[str, int]:
        """Split name to weight, in the fixed order of `SPLITS`."""
        return {name: getattr(self, name) for name in SPLITS}


class Picture(Settings):
    """What pictures are accepted, how they are kept, and the size the network sees."""

    size: Annotated[int, Field(ge=16, le=1024, description="side of the network's square input, pixels")] = 160
    # JPEGs are decoded at an eighth of their size for a fraction of the work: 2,400 px need no resizing then.
    stored_side: Annotated[int, Field(ge=16, le=4096, description="longest side kept at ingest, pixels")] = 300
    min_side: Annotated[int, Field(ge=1, description="a shorter side than this is refused, pixels")] = 16
    max_pixels: Annotated[int, Field(ge=1, description="a larger picture is refused undecoded")] = 40_000_000

    @model_validator(mode="after")
    def _stored_covers_size(self) -> "Picture":
        if self.stored_side < self.size:
            raise ValueError(
                f"stored_side {self.stored_side} is below size {self.size}: pictures would be enlarged again"
            )
        return self
