"""How training went, and what was trained."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from components.train.calibration import Calibration


@dataclass(frozen=True)
class Epoch:
    """One epoch; `number` counts from 1. What training did not record is None."""

    number: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    learning_rate: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Phase:
    """One phase of training, "head" or "finetune"."""

    name: str
    epochs: tuple[Epoch, ...]
    planned: int | None  # epochs that the recipe allows; None where it is not known
    chosen: int | None  # number of the epoch with the lowest validation loss; None where every loss was NaN
    kept: bool  # whether its weights are the model's: a later phase that does no better is dropped
    seconds: float | None  # all epochs together, if recorded
    images_per_second: float | None  # training pictures in an epoch, by its mean time; None if not recorded


@dataclass(frozen=True)
class Block:
    """A part of the network, as a picture passes them: "stem", "block1" … "block7", "top", "pool", "head".

    It has `parameters` numbers. The phases that train it are none where it stays as pretrained.
    """

    name: str
    parameters: int
    trained: tuple[str, ...]


@dataclass(frozen=True)
class Network:
    """The network, its parts and the width of an embedding."""

    backbone: str
    weights: str  # what it was started from; "none" for random numbers
    size: int  # side of its square input, pixels
    features: int
    blocks: tuple[Block, ...]
    front: str = "none"  # what stands before the backbone; "none" for nothing
    reference: str = ""  # who published the backbone, and where; "" where nobody did
    layers: int | None = None  # how many layers, counted from the end, fine-tuning trained; None where it went by parts

    @property
    def parameters(self) -> int:
        """Numbers in the whole network."""
        return sum(block.parameters for block in self.blocks)


@dataclass(frozen=True)
class TrainingFacts:
    """How training went: the phases that ran, and the network, None where it could not be read."""

    phases: tuple[Phase, ...]
    network: Network | None
    seconds: float | None  # the whole of it; None where it is not known, or an earlier run did it
    calibrated: bool | None = None  # whether confidences were scaled on the eval split; None where that is not known
    # How, and what that rests on; None where they were not, or that was not recorded.
    scaling: Calibration | None = None
    # Of each column, how right "picture", "name" and "both" are on eval; nothing where no name was read.
    names: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
