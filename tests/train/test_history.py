"""What is said of a training is true of the weights that are in the model."""

import math
from pathlib import Path

import pytest

from components.report.training_section import read_phases
from components.train.history import best_epoch, kept_phase, read_history, repair_history
from components.train.settings import Train
from pipeline.summary import _trained

NAN = math.nan
Epochs = list[tuple[float, float]]  # loss and accuracy on eval


def write(folder: Path, phase: str, epochs: Epochs) -> Path:
    lines = ["epoch,accuracy,loss,val_accuracy,val_loss,learning_rate,seconds"]
    lines += [f"{n},0.9,0.1,{accuracy},{loss},0.001,2.5" for n, (loss, accuracy) in enumerate(epochs)]
    (folder / f"{phase}.csv").write_text("\n".join(lines) + "\n")
    return folder / f"{phase}.csv"


HEAD: Epochs = [(0.3, 0.9), (0.1, 0.95), (0.2, 0.99)]
# The epochs of fine-tuning, what the console says, the chosen epochs, and the phase that is kept.
TRAININGS: dict[str, tuple[Epochs, str, list[int | None], str]] = {
    "alone": ([], "head 95.0 % at epoch 2 of 3", [2], "head"),
    "better": (
        [(0.2, 0.97), (0.05, 0.96)],
        "head 95.0 % at epoch 2 of 3, finetune 96.0 % at epoch 2 of 2",
        [2, 2],
        "finetune",
    ),
    "lost, though more accurate": (
        [(0.2, 0.999)],
        "head 95.0 % at epoch 2 of 3, finetune 99.9 % at epoch 1 of 1: head kept",
        [2, 1],
        "head",
    ),
    "as good": (
        [(0.1, 0.96)],
        "head 95.0 % at epoch 2 of 3, finetune 96.0 % at epoch 1 of 1: head kept",
        [2, 1],
        "head",
    ),
    "no number at first": (
        [(NAN, 0.1), (0.05, 0.96)],
        "head 95.0 % at epoch 2 of 3, finetune 96.0 % at epoch 2 of 2",
        [2, 2],
        "finetune",
    ),
    "diverged": (
        [(NAN, 0.1), (math.inf, 0.1)],
        "head 95.0 % at epoch 2 of 3, finetune diverged: its loss was not a number in 2 epochs: head kept",
        [2, None],
        "head",
    ),
}


@pytest.mark.parametrize(("finetune", "said", "chosen", "kept"), TRAININGS.values(), ids=TRAININGS)
def test_console_and_report_name_the_epochs_and_the_phase_that_are_in_the_model(
    tmp_path: Path, finetune: Epochs, said: str, chosen: list[int | None], kept: str
) -> None:
    write(tmp_path, "head", HEAD)
    if finetune:
        write(tmp_path, "finetune", finetune)
    assert _trained(tmp_path) == said
    phases = read_phases(tmp_path, Train(), None)
    assert [phase.chosen for phase in phases] == chosen
    assert [phase.name for phase in phases if phase.kept] == [kept]


def test_a_loss_that_is_no_number_is_never_the_best() -> None:
    assert best_epoch([NAN, 0.2, NAN, 0.1, 0.1]) == 3
    assert best_epoch([NAN, math.inf]) is None
    assert kept_phase({"head": [NAN], "finetune": [0.3]}) == "finetune"
    assert kept_phase({"head": [NAN]}) is None


@pytest.mark.parametrize("missing", range(1, 40))
def test_a_half_written_line_is_no_epoch_and_the_next_one_is_added_whole(tmp_path: Path, missing: int) -> None:
    file = write(tmp_path, "head", HEAD)
    file.write_bytes(file.read_bytes()[:-missing])
    whole = read_history(file)
    assert [epoch["val_loss"] for epoch in whole] == [0.3, 0.1][: len(whole)]
    assert len(whole) == (2 if missing < 30 else 1)
    repair_history(file)
    with file.open("a") as lines:
        lines.write("7,0.9,0.1,0.98,0.05,0.001,2.5\n")
    assert [epoch["epoch"] for epoch in read_history(file)] == [*range(len(whole)), 7]


def test_a_half_written_header_leaves_an_empty_file(tmp_path: Path) -> None:
    file = tmp_path / "head.csv"
    file.write_text("epoch,accu")
    assert read_history(file) == []
    repair_history(file)
    assert file.read_bytes() == b""
