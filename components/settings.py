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


class Settings(BaseModel):
    """Base of all parts: immutable, strict about types, closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def as_json(self) -> str:
        """Returns the settings as JSON in ASCII: a metadata database may take no other characters, such as classes'."""
        return json.dumps(self.model_dump(mode="json"))
