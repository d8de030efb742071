"""How a model learns what is none of its classes, and when it may answer at all."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from components.features import LabelColumn
from components.settings import Count, Rate, Settings, Share


class Outside(Settings):
    """Which products of no class are trained on and tested: by the values of a column, their kinds."""

    kind: LabelColumn = Field(default="articleType", description="column that says what such a product is")
    unseen: Share | Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=0.33,
        description="share of the kinds, drawn by the hash of their names, that training never sees and that are only "
        "tested on; or their names",
    )
    most: Count = Field(default=12_000, description="rows that are read, drawn by the hash of their ids")


class Decide(Settings):
    """What the thresholds of a model's decisions must reach; they are fitted on the eval split."""

    accuracy: Share = Field(default=0.995, description="wanted among accepted pictures")
    keep_outsiders: Share = Field(default=0.02, description="of the pictures of no class, accepted at most")
    keep_insiders: Share = Field(default=0.95, description="of the classes' pictures, not taken for foreign, at least")
    coverage: Rate = Field(default=0.95, description="of the label sets: how often the true class is in its set")


def _none(value: Any) -> Any:
    return None if value == "none" else value


# In a recipe also the word none.
OptionalOutside = Annotated[Outside | None, BeforeValidator(_none)]
