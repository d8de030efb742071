"""When data are refused."""

from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from components.reading import find_file
from components.settings import Count, Settings, Share


class Validation(Settings):
    """When the data is refused before anything is trained."""

    quarantine: Share = Field(
        default=0.01, description="largest share of rows that may be quarantined, those outside the classes aside"
    )
    class_quarantine: Share = Field(
        default=0.05, description="largest share of a class's pictures that may be, beyond what chance brings in a few"
    )
    unmapped: Share = Field(default=0.5, description="largest share of rows that may be outside the classes")
    unmapped_rise: Share = Field(
        default=0.1, description="how much larger that share may be than in the last run whose data were fit"
    )
    seen: Share = Field(
        default=0.01, description="largest share of the test split that a start or a baseline may have been trained on"
    )
    class_minimum: Count = Field(default=10, description="fewest pictures of a class in the train split")
    scarce: Literal["refuse", "note"] = Field(
        default="refuse", description="what of a class that has too few pictures to train on, or none in some split"
    )
    schema_file: Annotated[str, Field(min_length=1)] = Field(
        default="open",
        description="name of a reviewed schema in schema/, or a path to a .pbtxt file; open takes any vocabulary",
    )


def find_schema(name_or_path: str) -> Path:
    """Returns the file of a schema, by its name in schema/ without the suffix or by a path that ends in .pbtxt.

    Raises:
        RecipeError: there is no such file.
    """
    folder = Path(str(resources.files("schema")))
    return find_file(name_or_path, folder, "validation.schema_file", ".pbtxt").absolute()
