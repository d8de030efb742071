"""What a report says of the training: its phases, how fast they were and what they trained."""

import csv
from pathlib import Path

import pytest

from components.ingest.settings import Picture
from components.networks.settings import Model
from components.report import training_section as training
from components.train.settings import Finetune, Train


def write_epochs(file: Path, losses: list[float], **more: list[float]) -> None:
    columns = {"accuracy": losses, "loss": losses, "val_accuracy": losses, "val_loss": losses, **more}
    with file.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["epoch", *columns])
        writer.writerows([number, *row] for number, row in enumerate(zip(*columns.values(), strict=True)))


@pytest.mark.parametrize(("finetune", "kept"), [([0.4, 0.3], "finetune"), ([0.6, 0.7], "head")])
def test_the_stage_kept_is_the_one_that_reached_the_lower_loss(tmp_path, finetune, kept):
    write_epochs(tmp_path / "head.csv", [0.9, 0.5, 0.6])
    write_epochs(tmp_path / "finetune.csv", finetune)
    phases = training.read_phases(tmp_path, Train(), 100)
    assert [phase.name for phase in phases] == ["head", "finetune"]
    assert [phase.name for phase in phases if phase.kept] == [kept]
    assert phases[0].chosen == 2
    assert phases[0].images_per_second is None


def test_throughput_and_learning_rate_are_told_where_training_recorded_them(tmp_path):
    write_epochs(tmp_path / "head.csv", [0.9, 0.5], learning_rate=[0.01, 0.005], seconds=[4.0, 1.0])
    [phase] = training.read_phases(tmp_path, Train(), 100)
    assert (phase.seconds, phase.images_per_second) == (5, 40)
    assert [epoch.learning_rate for epoch in phase.epochs] == [0.01, 0.005]


def test_blocks_hold_every_parameter_and_say_which_stage_trains_them():
    shapes = {"stem_conv/kernel:0": (3, 3, 3, 2), "block6a_x:0": (5,), "top_bn/gamma:0": (7,), "logits/bias:0": (3,)}
    train = Train(finetune=Finetune(unfreeze_from="block6"))
    found = training.network_of(shapes, Model(), Picture(), train, 1280)
    assert [(block.name, block.parameters, block.trained) for block in found.blocks] == [
        ("stem", 54, ()),
        ("block6", 5, ("finetune",)),
        ("top", 7, ("finetune",)),
        ("head", 3, ("head", "finetune")),
    ]
    assert found.parameters == 69
