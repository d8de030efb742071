"""How products are made searchable."""

from typing import Annotated

from pydantic import Field

from components.settings import Count, Settings, Share


class GoesWith(Settings):
    """What goes with a product: of another category, for the same person and occasion."""

    same: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=("gender", "usage"), description="columns whose values have to agree"
    )
    other: str = Field(default="subCategory", description="column whose value has to differ")


class Index(Settings):
    """The index that similar products are found in."""

    dimensions: Count = Field(default=256, description="numbers of a vector, at most")
    alike: dict[str, Share] = Field(
        default={"articleType": 1.0, "baseColour": 0.5},
        description="columns in which similar products agree, and their weights; {} leaves it to the pictures",
    )
    colour: Share = Field(default=0.2, description="weight of the colours in the middle of the picture; 0 leaves out")
    duplicate: Share = Field(default=0.98, description="similarity from which two products look the same")
    columns: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(), description="further columns of the catalogue to filter by, e.g. price"
    )
    family: str | None = Field(
        default=None, description="column whose value variants of a product share, to name at most n of a family"
    )
    goes_with: GoesWith = GoesWith()
    relevance: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=("articleType", "articleType+baseColour", "articleType+baseColour+gender"),
        description="what an index is judged by: columns that have to agree, joined by +",
    )
    least: dict[str, Share] = Field(
        default={}, description="precision@10 by relevance, below which an index is not published"
    )
    approximate_from: Count = Field(default=1_000_000, description="products from which the search is approximate")
    recall: Share = Field(default=0.99, description="share of the ten nearest that an approximate search has to find")
    keep: Count = Field(default=5, description="newest versions kept; older ones go, unless labelled")

    @property
    def kept(self) -> tuple[str, ...]:
        """The further columns of the catalogue that are read."""
        return tuple(dict.fromkeys([*self.columns, *([self.family] if self.family else [])]))
