"""What the settings of all stages share: frozen models that refuse unknown keys and wrong values.

Each stage's own stand with the stage; `pipeline/recipe.py` puts them together and reads them from YAML.
"""

import json
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, le=1)]

SPLITS = ("train", "eval", "test")
# Of products that are of no class, where the recipe has `outside`; in the same order.
OUTSIDE_SPLITS = ("outside_train", "outside_eval", "outside_test")


def with_outside(*splits: str, outside: bool) -> list[str]:
    """Names of splits, and of what is of no class beside each where there is any."""
    return [*splits, *(OUTSIDE_SPLITS[SPLITS.index(split)] for split in splits if outside)]


class Settings(BaseModel):
    """Base of all parts: immutable, strict about types, closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def as_json(self) -> str:
        """Returns the settings as JSON in ASCII: a metadata database may take no other characters, such as classes'."""
        return json.dumps(self.model_dump(mode="json"))
