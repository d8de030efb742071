"""How training went, and what was trained."""

from dataclasses import dataclass

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
    """One phase of training, "head" or "finetune".

    Attributes:
        planned: epochs that the recipe allows; None where it is not known.
        chosen: number of the epoch with the lowest validation loss; None where every loss was NaN.
        kept: whether its weights are the model's: a later phase that does no better is dropped.
        seconds: all epochs together, if recorded.
        images_per_second: training pictures in an epoch, by its mean time; None if not recorded.
    """

    name: str
    epochs: tuple[Epoch, ...]
    planned: int | None
    chosen: int | None
    kept: bool
    seconds: float | None
    images_per_second: float | None


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
    """The network, its parts and the width of an embedding.

    Attributes:
        weights: what it was started from; "none" for random numbers.
        size: side of its square input, pixels.
        front: what stands before the backbone; "none" for nothing.
        reference: who published the backbone, and where; "" where nobody did.
        layers: how many layers, counted from the end, fine-tuning trained; None where it went by parts.
    """

    backbone: str
    weights: str
    size: int
    features: int
    blocks: tuple[Block, ...]
    front: str = "none"
    reference: str = ""
    layers: int | None = None

    @property
    def parameters(self) -> int:
        """Numbers in the whole network."""
        return sum(block.parameters for block in self.blocks)


@dataclass(frozen=True)
class TrainingFacts:
    """How training went: the phases that ran, and the network, None where it could not be read.

    Attributes:
        seconds: the whole of it; None where it is not known, or an earlier run did it.
        calibrated: whether confidences were scaled on the eval split; None where that is not known.
        scaling: how, and what that rests on; None where they were not, or that was not recorded.
    """

    phases: tuple[Phase, ...]
    network: Network | None
    seconds: float | None
    calibrated: bool | None = None
    scaling: Calibration | None = None
