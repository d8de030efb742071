"""What Transform can be told."""

from pydantic import Field, model_validator

from components.settings import Count, Settings


class Balance(Settings):
    """How many training examples a class may and must have; evaluation keeps the natural distribution."""

    cap: Count | None = Field(default=None, description="at most this many of a class")
    oversample: Count | None = Field(default=None, description="classes below this many are repeated up to it")

    @model_validator(mode="after")
    def _ordered(self) -> "Balance":
        if self.cap and self.oversample and self.oversample > self.cap:
            raise ValueError(f"oversample {self.oversample} is above cap {self.cap}")
        return self
