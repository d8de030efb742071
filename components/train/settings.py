"""How a network is fitted."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.settings import Count, Settings, Share

Epochs = Annotated[int, Field(ge=1, description="at most")]
LearningRate = Annotated[float, Field(gt=0, le=1, description="at its highest")]
Schedule = Annotated[
    Literal["constant", "cosine", "plateau"],
    Field(description="of the learning rate; plateau lowers it where eval no longer gets better"),
]
Patience = Annotated[int, Field(ge=1, description="epochs without a better eval after which a phase ends")]


class Augment(Settings):
    """Random changes to training pictures."""

    flip: bool = Field(default=True, description="pictures are mirrored, left to right")
    rotation: Annotated[float, Field(ge=0, le=180, description="degrees either way")] = 20.0
    zoom: Annotated[float, Field(ge=0, lt=1, description="share of the side, in or out")] = 0.1
    contrast: Annotated[float, Field(ge=0, lt=1, description="share, up or down")] = 0.1
    erase: Share = Field(default=0.0, description="share of pictures in which a rectangle is erased")
    mixup: Share = Field(default=0.0, description="alpha: how much pictures are mixed, in fine-tuning; 0 is not at all")


class Phase(Settings):
    """What both phases of training have."""

    epochs: Epochs
    learning_rate: LearningRate
    schedule: Schedule
    warmup: Annotated[int, Field(ge=0, description="epochs of a linear rise before cosine decay")] = 0
    patience: Patience

    @model_validator(mode="after")
    def _warms_up_to_something(self) -> Self:
        if self.warmup and self.schedule != "cosine":
            raise ValueError(f"warmup goes with schedule cosine, not with {self.schedule}")
        if self.warmup >= self.epochs:
            raise ValueError(f"warmup {self.warmup} leaves nothing of {self.epochs} epochs")
        return self


class Head(Phase):
    """Phase 1: the head alone, on features of the frozen trunk that are computed once."""

    epochs: Epochs = 100
    learning_rate: LearningRate = 1e-3
    schedule: Schedule = "plateau"
    patience: Patience = 10
    views: Annotated[int, Field(ge=1, le=64, description="augmented views of each picture; the first is plain")] = 4


class Finetune(Phase):
    """Phase 2: the trunk from one part upwards, and the head."""

    epochs: Epochs = 8
    learning_rate: LearningRate = 1e-4
    schedule: Schedule = "cosine"
    patience: Patience = 4
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

    # As numpy takes them.
    seed: Annotated[int, Field(ge=0, lt=2**32, description="of weights, shuffling and augmentation")] = 1
    batch_size: Count = Field(default=32, description="pictures of one step")
    shuffle_buffer: Count = Field(
        default=8192, description="encoded pictures, a few kB each, that fine-tuning shuffles among one another"
    )
    optimizer: Literal["adam", "adamw", "sgd", "rmsprop"] = Field(default="adam", description="of both phases")
    weight_decay: Annotated[float, Field(ge=0, description="of the optimizer; 0 is none")] = 0.0
    loss: Literal["cross_entropy", "focal"] = Field(default="cross_entropy", description="what training makes small")
    focal_gamma: Annotated[float, Field(ge=0, description="how much less an easy example counts, with focal")] = 2.0
    class_weights: Literal["none", "balanced"] = Field(
        default="none", description="balanced: a class counts the more, the fewer training examples it has"
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1, description="share of the label given to all classes")] = 0.0
    prior: Share = Field(
        default=0.0,
        description="how far answers lean back from the balanced frequencies to the catalogue's own; 1 is fully",
    )
    kinds: Annotated[float, Field(ge=0)] = Field(
        default=0.5,
        description="weight of the loss of telling kinds of products apart while fine-tuning, those of no class among "
        "them, so that the trunk keeps seeing these; needs outside",
    )
    ema: Annotated[float, Field(ge=0, lt=1, description="momentum of the weights' moving average; 0 is none")] = 0.99
    calibrate: bool = Field(
        default=True, description="scale confidences on the eval split until they are as high as they are right"
    )
    strategy: Literal["auto", "none", "mirrored", "tpu", "multi_worker"] = Field(
        default="auto", description="of tf.distribute; auto takes the accelerators that are there"
    )
    mixed_precision: Literal["auto", "off"] = Field(default="auto", description="auto: on accelerators that have it")
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
