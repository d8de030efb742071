"""How versions are kept."""

from pydantic import Field

from components.settings import Count, Settings


class Publish(Settings):
    """Where an approved model goes."""

    keep: Count = Field(default=5, description="newest versions kept; older ones go, unless labelled or loaded")
