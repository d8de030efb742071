"""How a network is fitted."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.settings import Count, Rate, Settings, Share

Schedule = Literal["constant", "cosine", "plateau"]


class Augment(Settings):
    """Random changes to training pictures."""

    flip: bool = True
    rotation: Annotated[float, Field(ge=0, le=180, description="degrees either way")] = 20.0
    zoom: Annotated[float, Field(ge=0, lt=1)] = 0.1
    contrast: Annotated[float, Field(ge=0, lt=1)] = 0.1
    erase: Share = Field(default=0.0, description="share of pictures in which a rectangle is erased")
    mixup: Share = Field(default=0.0, description="alpha: how much pictures are mixed, in fine-tuning; 0 is not at all")


class Phase(Settings):
    """What both phases of training have."""

    epochs: Count
    learning_rate: Rate
    schedule: Schedule
    warmup: Annotated[int, Field(ge=0, description="epochs of a linear rise before cosine decay")] = 0
    patience: Count

    @model_validator(mode="after")
    def _warms_up_to_something(self) -> Self:
        if self.warmup and self.schedule != "cosine":
            raise ValueError(f"warmup goes with schedule cosine, not with {self.schedule}")
        if self.warmup >= self.epochs:
            raise ValueError(f"warmup {self.warmup} leaves nothing of {self.epochs} epochs")
        return self


class Head(Phase):
    """Phase 1: the head alone, on features of the frozen trunk that are computed once."""

    epochs: Count = 100
    learning_rate: Rate = 1e-3
    schedule: Schedule = "plateau"
    patience: Count = 10
    views: Annotated[int, Field(ge=1, le=64, description="augmented views of each picture; the first is plain")] = 4


class Finetune(Phase):
    """Phase 2: the trunk from one part upwards, and the head."""

    epochs: Count = 8
    learning_rate: Rate = 1e-4
    schedule: Schedule = "cosine"
    patience: Count = 4
    unfreeze_from: Annotated[
        str, Field(description="lowest part trained, e.g. stem for all, block6, conv4; or `last N` for N layers")
    ] = "block6"
    views: Annotated[
        int | None,
        Field(ge=1, le=64, description="as for the head: what is frozen is run once for each view, not in each epoch"),
    ] = None
    batch_norm: Literal["auto", "train", "frozen"] = Field(
        default="auto", description="auto trains it where weights are none and there is no head phase"
    )


class Column(Settings):
    """A further column that the network answers, its classes in the order of their labels.

    `weight` is that of its loss, `accepted` the accuracy wanted among accepted answers.
    """

    name: str
    classes: tuple[str, ...]
    weight: float = 1.0
    accepted: float = 0.95


class Train(Settings):
    """How the network is fitted."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1  # as numpy takes them
    batch_size: Count = 32
    shuffle_buffer: Count = Field(
        default=8192, description="encoded pictures, a few kB each, that fine-tuning shuffles among one another"
    )
    optimizer: Literal["adam", "adamw", "sgd", "rmsprop"] = "adam"
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    loss: Literal["cross_entropy", "focal"] = "cross_entropy"
    focal_gamma: Annotated[float, Field(ge=0, description="how much less an easy example counts, with focal")] = 2.0
    class_weights: Literal["none", "balanced"] = Field(
        default="none", description="balanced: a class counts the more, the fewer training examples it has"
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    prior: Share = Field(
        default=0.0,
        description="how far answers lean back from the balanced frequencies to the catalogue's own; 1 is fully",
    )
    ema: Annotated[float, Field(ge=0, lt=1, description="momentum of the weights' moving average; 0 is none")] = 0.99
    calibrate: bool = Field(
        default=True, description="scale confidences on the eval split until they are as high as they are right"
    )
    strategy: Literal["auto", "none", "mirrored", "tpu", "multi_worker"] = "auto"
    mixed_precision: Literal["auto", "off"] = "auto"
    augment: Augment = Augment()
    head: Head | None = Head()
    finetune: Finetune | None = Finetune()

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.head is None and self.finetune is None:
            raise ValueError("head and finetune are both empty: nothing would be trained; give at least one")
        if self.prior and self.class_weights == "balanced":
            raise ValueError(
                "prior leans back to the catalogue's frequencies, class_weights: balanced away from them; choose one"
            )
        if self.augment.mixup and self.finetune is None:
            raise ValueError("augment.mixup mixes pictures in fine-tuning, and finetune is empty; set it to 0")
        if self.augment.mixup and self.finetune and self.finetune.views:
            raise ValueError("augment.mixup mixes pictures anew in every epoch, and with finetune.views they are run "
                             "once; leave one of them out")  # fmt: skip
        return self
