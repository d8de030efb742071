"""The section on training: the figures of every epoch, and the parts of the network."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from components.ingest.settings import Picture
from components.networks.profiles import LOGITS, PROFILES, part_of, read_unfreeze
from components.networks.settings import Model
from components.report.facts.training import Block, Epoch, Network, Phase, TrainingFacts
from components.report.facts.verdict import StageTime
from components.report.reading import Reading
from components.train.calibration import read_calibration
from components.train.history import best_epoch, kept_phase, read_history, read_names
from components.train.settings import Train

_SCALING = "normalization"
_FRONT = "front"  # EdgeNet's layers, before the trunk
# Of an epoch, in the order of `Epoch`.
_FIGURES, _EXTRAS = ("loss", "accuracy", "val_loss", "val_accuracy"), ("learning_rate", "seconds")


def training_facts(reading: Reading) -> TrainingFacts | None:
    """Makes the section on training; None where the run did not come so far."""
    folder, train = reading.folders.history, reading.plan.train
    if folder is None or train is None:
        reading.miss("training", "everything", "The run ended before train did.")
        return None
    pictures = None if reading.uses is None else int(reading.uses.sum())
    phases = reading.attempt("training", "epochs", lambda: read_phases(folder, train, pictures)) or ()
    if not any(phase.seconds for phase in phases):
        reading.miss("training", "throughput", "Training did not record how long its epochs took.")
    dropped = any(phase.name == "finetune" and not phase.kept for phase in phases)
    kept = train.model_copy(update={"finetune": None}) if dropped else train
    scaled = reading.attempt("training", "calibration", lambda: read_calibration(folder))
    names = reading.attempt("training", "names", lambda: read_names(folder)) or {}
    seconds = seconds_of(reading.sources.stages)
    return TrainingFacts(phases, _network(reading, kept), seconds, train.calibrate, scaled, names)


def read_phases(folder: Path, train: Train, pictures: int | None) -> tuple[Phase, ...]:
    """Reads a ModelRun artifact: one CSV for each phase, one line for each epoch.

    An epoch trains on `pictures`; None if that is not known.
    """
    phases = {"head": train.head, "finetune": train.finetune}
    planned = {name: phase.epochs if phase else None for name, phase in phases.items()}
    epochs = {name: _read_epochs(folder / f"{name}.csv") for name in planned}
    kept = kept_phase({name: [epoch.val_loss for epoch in rows] for name, rows in epochs.items()})
    return tuple(_phase(name, rows, planned[name], name == kept, pictures) for name, rows in epochs.items() if rows)


def seconds_of(stages: Sequence[StageTime]) -> float | None:
    """How long training took in this run; None where that is not known, or the cache has it from another run."""
    return next((stage.seconds for stage in stages if stage.name == "train" and stage.state != "cached"), None)


def network_of(
    shapes: Mapping[str, Sequence[int]], model: Model, picture: Picture, train: Train, features: int
) -> Network:
    """Sums up a network by its parts.

    Args:
        shapes: name to shape of each of its variables.
        model: the recipe's settings.
        picture: likewise.
        train: likewise.
        features: width of an embedding.
    """
    known = PROFILES[model.backbone].parts
    numbers: Counter[str] = Counter()
    for name, shape in shapes.items():
        numbers[_part(name, known)] += math.prod(shape)
    parts = [part for part in (_FRONT, *known, "other", "head") if numbers[part]]
    blocks = tuple(Block(part, numbers[part], _trained(part, model, train)) for part in parts)
    layers = unfrozen if isinstance(unfrozen := _unfrozen(model, train), int) else None
    reference = PROFILES[model.backbone].reference
    return Network(
        model.backbone, model.weights, picture.size, features, blocks, model.front, reference=reference, layers=layers
    )


def _network(reading: Reading, train: Train) -> Network | None:
    network, model, picture = reading.network, reading.plan.model, reading.plan.picture
    if network is None or model is None or picture is None:
        return None
    return reading.attempt(
        "training", "network", lambda: network_of(network.shapes, model, picture, train, network.features)
    )


def _part(variable: str, known: tuple[str, ...]) -> str:
    if variable.startswith(LOGITS):
        return "head"
    if variable.startswith(_SCALING):
        return known[0]
    return _FRONT if variable.startswith(_FRONT) else part_of(variable, known) or "other"


def _trained(part: str, model: Model, train: Train) -> tuple[str, ...]:
    """The phases that train a part, or some of it."""
    if part == "head":
        return tuple(name for name, phase in (("head", train.head), ("finetune", train.finetune)) if phase)
    unfrozen = _unfrozen(model, train)
    if isinstance(unfrozen, int):  # layers, counted from the end; how far down they reach is not told by their names
        unfrozen = PROFILES[model.backbone].parts[-1:]
    return ("finetune",) if train.finetune and (part == _FRONT or part in unfrozen) else ()


def _unfrozen(model: Model, train: Train) -> int | tuple[str, ...]:
    return read_unfreeze(model.backbone, train.finetune.unfreeze_from) if train.finetune else ()


def _read_epochs(file: Path) -> tuple[Epoch, ...]:
    return tuple(
        Epoch(int(row["epoch"]) + 1, *(row[name] for name in _FIGURES), *(_optional(row.get(name)) for name in _EXTRAS))
        for row in read_history(file)
    )


def _optional(figure: float | None) -> float | None:
    return None if figure is None or math.isnan(figure) else figure


def _phase(name: str, epochs: tuple[Epoch, ...], planned: int | None, kept: bool, pictures: int | None) -> Phase:
    times = [epoch.seconds for epoch in epochs if epoch.seconds is not None]
    complete = len(times) == len(epochs)
    best = best_epoch([epoch.val_loss for epoch in epochs])
    chosen = epochs[best].number if best is not None else None
    pace = pictures * len(times) / sum(times) if pictures and complete and sum(times) else None
    return Phase(name, epochs, planned, chosen, kept, sum(times) if complete else None, pace)
