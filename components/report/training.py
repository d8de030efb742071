"""What is said of the training: the figures of every epoch, and the parts of the network."""

import csv
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from components.report.facts import Block, Epoch, Network, Stage
from components.settings import Model, Picture, Train

# As a picture passes them. Names of layers begin with these; the head's one layer with numbers is called "logits".
_PARTS = ("normalization", "stem", *(f"block{number}" for number in range(1, 8)), "top", "logits")
_BY_PREFIX = {"normalization": "stem", "logits": "head"}


def read_stages(folder: Path, train: Train, pictures: int | None) -> tuple[Stage, ...]:
    """Reads a ModelRun artifact.

    Args:
        folder: where it lies; one CSV for each stage, one line for each epoch.
        train: the recipe's settings.
        pictures: that an epoch trains on; None if not known.
    """
    planned = {"head": train.head.epochs, "finetune": train.finetune.epochs if train.finetune else None}
    epochs = {name: _read_epochs(folder / f"{name}.csv") for name in planned}
    reached = {name: min(epoch.val_loss for epoch in of) for name, of in epochs.items() if of}
    # A stage has to beat the one before it; what only equals it is dropped.
    kept = min(reached, key=lambda name: reached[name], default=None)
    return tuple(_stage(name, of, planned[name], name == kept, pictures) for name, of in epochs.items() if of)


def network_of(
    shapes: Mapping[str, Sequence[int]], model: Model, picture: Picture, train: Train, features: int
) -> Network:
    """Sums up a network by its parts.

    Args:
        shapes: name to shape of each of its variables.
        model: the recipe's settings, like the next two.
        picture: likewise.
        train: likewise.
        features: width of an embedding.
    """
    numbers: Counter[str] = Counter()
    for name, shape in shapes.items():
        prefix = next((part for part in _PARTS if name.startswith(part)), None)
        numbers[_BY_PREFIX.get(prefix or "", prefix or "other")] += math.prod(shape)
    order = [*dict.fromkeys(_BY_PREFIX.get(part, part) for part in _PARTS), "other"]
    parts = [part for part in order if numbers[part]]
    blocks = (Block(part, numbers[part], _trained(part, order, train)) for part in parts)
    return Network(model.backbone, model.weights, picture.size, features, tuple(blocks))


def _trained(part: str, order: Sequence[str], train: Train) -> tuple[str, ...]:
    if part == "head":
        return ("head", "finetune") if train.finetune else ("head",)
    above = train.finetune and order.index(part) >= order.index(train.finetune.unfreeze_from)
    return ("finetune",) if above else ()


def _read_epochs(file: Path) -> tuple[Epoch, ...]:
    if not file.exists():
        return ()
    with file.open(encoding="utf-8", newline="") as lines:
        return tuple(
            Epoch(
                number=int(float(row["epoch"])) + 1,
                loss=float(row["loss"]),
                accuracy=float(row["accuracy"]),
                val_loss=float(row["val_loss"]),
                val_accuracy=float(row["val_accuracy"]),
                learning_rate=_optional(row.get("learning_rate")),
                seconds=_optional(row.get("seconds")),
            )
            for row in csv.DictReader(lines)
        )


def _optional(text: str | None) -> float | None:
    return float(text) if text not in (None, "", "NA") else None


def _stage(name: str, epochs: tuple[Epoch, ...], planned: int | None, kept: bool, pictures: int | None) -> Stage:
    times = [epoch.seconds for epoch in epochs if epoch.seconds is not None]
    complete = len(times) == len(epochs)
    return Stage(
        name=name,
        epochs=epochs,
        planned=planned,
        chosen=min(epochs, key=lambda epoch: epoch.val_loss).number,
        kept=kept,
        seconds=sum(times) if complete else None,
        images_per_second=pictures * len(times) / sum(times) if pictures and complete and sum(times) else None,
    )
