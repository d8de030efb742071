"""How far data may move."""

from typing import Annotated

from pydantic import Field

from components.settings import Settings, Share


class Drift(Settings):
    """How far a new catalogue may move from what the model was trained on before `fashion retrain` trains again."""

    labels: Share = Field(default=0.05, description="largest change of a class's share of the products")
    columns: dict[str, Share] = Field(
        default={}, description="largest Jensen-Shannon divergence of a column, in place of the schema's comparator"
    )
    chance: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.002, description="how often labels, or a column, may count as moved though only chance moved them"
    )
