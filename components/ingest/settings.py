"""What ingest can be told: which class a product is of, how products are divided, and what pictures are accepted."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from components.settings import SPLITS, Count, Settings


class Labels(Settings):
    """Which class a product belongs to: by the rules of a taxonomy, or by the value of a column."""

    taxonomy: str | None = Field(default=None, description="name of a file in schema/taxonomies, or a path to one")
    column: Literal["masterCategory", "subCategory", "articleType"] | None = Field(
        default=None, description="in place of a taxonomy: its values in the catalogue are the classes"
    )
    top: Count | None = Field(default=None, description="only the classes with most rows, this many")
    minimum: Count = Field(default=1, description="only classes with at least this many rows")
    merge: dict[str, Annotated[tuple[str, ...], Field(strict=False)]] = Field(
        default={}, description="a class, and the values that are all called so"
    )
    ignore: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(), description="values that are of no class"
    )

    @model_validator(mode="after")
    def _one_way(self) -> "Labels":
        if bool(self.taxonomy) == bool(self.column):
            raise ValueError("give either taxonomy or column")
        if self.taxonomy and (self.top or self.minimum > 1 or self.merge or self.ignore):
            raise ValueError("top, minimum, merge and ignore go with column; in a taxonomy the rules say such things")
        merged = [value for values in self.merge.values() for value in values]
        for value in {value for value in merged if merged.count(value) > 1 or value in self.ignore}:
            raise ValueError(f"{value!r} is merged twice, or merged and ignored; name it once")
        return self


class Split(Settings):
    """How products are divided: by the hash of their id, in these proportions; those with the same picture together.

    The same picture is one that looks the same: its copies saved anew, or a little smaller, go where it goes.

    Where `by` is given, `test` is what the data set was published with to test on, and where it is year, all products
    of odd years, whatever its proportion. The rest, products without a year among it, is divided into train and eval.
    """

    by: Literal["picture", "given", "year"] = "picture"
    together: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(), description="columns: products with the same value are variants of one, and stay together"
    )
    train: Count = 80
    eval: Count = 10
    test: Count = 10

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
