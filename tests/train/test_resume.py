"""Training that is killed goes on from where it was, and ends as well."""

import os
import signal
from pathlib import Path

import pytest

from components.progress import Progress, listen
from components.train.callbacks import saved_loss
from components.train.fit import fit
from components.train.settings import Finetune
from tests.train.small import TRAIN, child, history, job_of, put_small_trunk

pytestmark = pytest.mark.usefixtures("small_backbone")

LONG = TRAIN.model_copy(update={"finetune": Finetune(epochs=5, learning_rate=1e-3, patience=5)})
STEPS = 6  # batches in an epoch


def train_until(folder: Path, part: str, done: int, saves: int = 0) -> None:
    """Trains, and kills itself at a report, or after it when a number of files were written but not yet in place."""
    reached, left = False, saves
    replace = Path.replace

    def kill() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def heard(progress: Progress) -> None:
        nonlocal reached
        reached = reached or (progress.part, progress.done) == (part, done)
        if reached and not saves:
            kill()

    def counted(path: Path, target: Path) -> Path:
        nonlocal left
        left -= reached
        if saves and not left:
            kill()
        return replace(path, target)

    Path.replace = counted  # type: ignore[method-assign]
    put_small_trunk()
    with listen(heard):
        fit(job_of(folder, folder / "work", LONG))


def killed(folder: Path, *arguments: object) -> None:
    process = child(folder, f"from tests.train.test_resume import train_until\ntrain_until(folder, *{arguments!r})")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, errors


def resumed(folder: Path) -> list[Progress]:
    """Trains to the end in this process; what it reported."""
    seen: list[Progress] = []
    with listen(seen.append):
        fit(job_of(folder, folder / "work", LONG))
    return seen


@pytest.mark.slow
def test_training_killed_in_each_phase_goes_on_from_there_and_ends_as_well(own_data):
    work = own_data / "work"
    killed(own_data, "features eval", 30)
    assert names(work) == {"features-train.npy", "features-eval.partial"}
    computed = (work / "features-train.npy").stat().st_mtime_ns
    killed(own_data, "head", 3 * STEPS)
    assert names(work) == {"features-train.npy", "features-eval.npy", "head.csv", "head-best.npz"}
    killed(own_data, "finetune", 3 * STEPS, 1)
    assert (work / "features-train.npy").stat().st_mtime_ns == computed
    assert [int(row["epoch"]) for row in history(work, "head")] == list(range(8))
    assert [int(row["epoch"]) for row in history(work, "finetune")] == [0, 1]
    assert names(work / "backup") == {"2.weights.h5", "partial.weights.h5"}

    seen = resumed(own_data)
    assert {progress.part for progress in seen} == {"finetune"}
    assert seen[0].done == 2 * STEPS + 1
    assert seen[0].note.startswith("epoch 3/5 · ")
    assert [int(row["epoch"]) for row in history(work, "finetune")] == list(range(5))
    losses = [float(row["val_loss"]) for stage in ("head", "finetune") for row in history(work, stage)]
    assert saved_loss(work / "finetune.npz") == pytest.approx(min(losses), abs=1e-6)
    assert resumed(own_data) == []


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}
