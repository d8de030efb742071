"""What each stage can be told: the parts of a recipe, as frozen models that refuse unknown keys and wrong values.

They stand with the components that take them; `pipeline/recipe.py` puts them together and reads them from YAML.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, le=1)]

SPLITS = ("train", "eval", "test")


class Settings(BaseModel):
    """Base of all parts: immutable, strict about types, closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Labels(Settings):
    """Which class a product belongs to."""

    taxonomy: str = Field(description="name of a file in schema/taxonomies, or a path to one")


class Split(Settings):
    """How products are divided: by the hash of their picture, in these proportions."""

    by: Literal["picture"] = "picture"
    train: Count = 80
    eval: Count = 10
    test: Count = 10

    def shares(self) -> dict[str, int]:
        """Split name to weight, in the fixed order of `SPLITS`."""
        return {name: getattr(self, name) for name in SPLITS}


class Picture(Settings):
    """What pictures are accepted, how they are kept, and the size the network sees."""

    size: Annotated[int, Field(ge=16, le=1024, description="side of the network's square input, pixels")] = 160
    stored_side: Annotated[int, Field(ge=16, le=4096, description="longest side kept at ingest, pixels")] = 320
    min_side: Annotated[int, Field(ge=1, description="a shorter side than this is refused, pixels")] = 16
    max_pixels: Annotated[int, Field(ge=1, description="a larger picture is refused undecoded")] = 40_000_000

    @model_validator(mode="after")
    def _stored_covers_size(self) -> "Picture":
        if self.stored_side < self.size:
            raise ValueError(
                f"stored_side {self.stored_side} is below size {self.size}: pictures would be enlarged again"
            )
        return self


class Balance(Settings):
    """How many training examples a class may and must have; evaluation keeps the natural distribution."""

    cap: Count | None = Field(default=None, description="at most this many of a class")
    oversample: Count | None = Field(default=None, description="classes below this many are repeated up to it")

    @model_validator(mode="after")
    def _ordered(self) -> "Balance":
        if self.cap and self.oversample and self.oversample > self.cap:
            raise ValueError(f"oversample {self.oversample} is above cap {self.cap}")
        return self


class Validation(Settings):
    """When the data is refused before anything is trained."""

    quarantine: Share = Field(default=0.01, description="largest share of rows that may be quarantined")
    class_minimum: Count = Field(default=10, description="fewest pictures of a class in the train split")


Weights = Annotated[str, Field(min_length=1, description="imagenet, efficientnet_lite0, none, or a weights file")]
Schedule = Literal["constant", "cosine", "plateau"]


class Model(Settings):
    """The network."""

    backbone: Literal["efficientnet_b0", "efficientnet_lite0"] = "efficientnet_b0"
    weights: Weights = "imagenet"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2


class Augment(Settings):
    """Random changes to training pictures."""

    flip: bool = True
    rotation: Annotated[float, Field(ge=0, le=180, description="degrees either way")] = 20.0
    zoom: Annotated[float, Field(ge=0, lt=1)] = 0.1
    contrast: Annotated[float, Field(ge=0, lt=1)] = 0.1


class Head(Settings):
    """Stage 1: the head alone, on features of the frozen trunk that are computed once."""

    epochs: Count = 100
    learning_rate: Rate = 1e-3
    schedule: Schedule = "plateau"
    patience: Count = 10
    views: Annotated[int, Field(ge=1, le=64, description="augmented views of each picture; the first is plain")] = 4


class Finetune(Settings):
    """Stage 2: the trunk from one block upwards, BatchNorm kept in inference mode."""

    epochs: Count = 8
    learning_rate: Rate = 1e-4
    schedule: Schedule = "cosine"
    patience: Count = 4
    unfreeze_from: Annotated[str, Field(description="lowest block trained: stem, block1 … block7, top")] = "block6"


class Train(Settings):
    """How the network is fitted."""

    seed: int = 1
    batch_size: Count = 32
    optimizer: Literal["adam", "adamw"] = "adam"
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    prior: Share = Field(
        default=0.0,
        description="how far answers lean back from the balanced frequencies to the catalogue's own; 1 is fully",
    )
    ema: Annotated[float, Field(ge=0, lt=1, description="momentum of the weights' moving average; 0 is none")] = 0.99
    strategy: Literal["auto", "none", "mirrored", "tpu", "multi_worker"] = "auto"
    mixed_precision: Literal["auto", "off"] = "auto"
    augment: Augment = Augment()
    head: Head = Head()
    finetune: Finetune | None = Finetune()


class Gate(Settings):
    """What a model must reach on the test split to be published."""

    accuracy: Share = Field(default=0.97, description="overall, at least")
    recall: Share = Field(default=0.95, description="of every class, at least")
    precision: Share = Field(default=0.0, description="of every class, at least")
    regression: Share = Field(default=0.005, description="largest loss of accuracy against the blessed baseline")
    class_regression: Share = Field(default=0.03, description="largest loss of a class's recall against the baseline")


class Publish(Settings):
    """Where an approved model goes."""

    keep: Count = Field(default=5, description="versions kept; older ones are removed")
