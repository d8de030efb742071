"""Fine-tuning on what the frozen part of the trunk makes of the pictures, computed once for all epochs."""

import shutil
from collections import namedtuple

import keras
import numpy as np
import pytest

from components.errors import FashionError, RecipeError
from components.networks.backbones import build_trunk, set_trainable_from
from components.networks.layers import divide
from components.progress import Progress, listen
from components.train.fit import fit
from components.train.settings import Finetune
from tests.train.small import TRAIN, answers, history, job_of, loss_of, trunk_weights

pytestmark = pytest.mark.usefixtures("small_backbone")

CACHED = Finetune(epochs=3, learning_rate=3e-3, unfreeze_from="block7", views=2)


def caching(stage: Finetune = CACHED):
    return TRAIN.model_copy(update={"finetune": stage})


@pytest.mark.parametrize(
    ("backbone", "size", "where"),
    [
        ("efficientnet_b0", 64, "block4"),
        ("resnet18", 64, "conv4"),
        ("resnet_small", 28, "conv3"),
        ("vit_tiny", 32, "block7"),
        pytest.param("densenet201", 32, "conv5", marks=pytest.mark.slow),
        ("efficientnet_b0", 32, "last 9"),
    ],
)
def test_both_parts_together_answer_as_the_whole(backbone, size, where):
    trunk = build_trunk(backbone, "none", size)
    trained = set_trainable_from(trunk, backbone, where)
    lower, upper = divide(trunk)
    pictures = np.random.default_rng(0).uniform(0, 255, (2, size, size, 3)).astype(np.float32)
    assert np.allclose(upper(lower(pictures)), trunk(pictures), atol=1e-5)
    assert lower.trainable_weights == []
    assert sum(np.prod(weight.shape) for weight in upper.trainable_weights) == trained
    shared = {id(layer) for layer in (*lower.layers, *upper.layers)}
    assert shared >= {id(layer) for layer in trunk.layers if layer.weights}


def test_network_is_divided_where_one_tensor_passes():
    pictures = keras.Input((4, 4, 1))
    stem = keras.layers.Conv2D(2, 1, name="stem")(pictures)
    left, right = (keras.layers.Conv2D(2, 1, name=name)(stem) for name in ("left", "right"))
    network = keras.Model(pictures, keras.layers.Conv2D(1, 1, name="top")(keras.layers.Concatenate()([left, right])))

    def below(*trained: str) -> set[str] | None:
        for layer in network.layers:
            layer.trainable = layer.name in trained
        divided = divide(network)
        return {layer.name for layer in divided[0].layers if layer.weights} if divided else None

    assert below("top") == {"stem", "left", "right"}
    assert below("left", "top") == {"stem"}
    assert below("right", "top") == {"stem"}
    assert below("stem", "top") is None
    assert below() is None


@pytest.mark.slow
def test_it_learns_and_changes_only_what_it_may(data, tmp_path):
    before = fit(job_of(data, tmp_path / "head", TRAIN.model_copy(update={"finetune": None})))
    job = job_of(data, tmp_path / "cached", caching())
    network = fit(job)
    old, new = trunk_weights(before), trunk_weights(network)
    assert {name for name in old if not np.array_equal(old[name], new[name])} == {"block7_conv/kernel"}
    losses = [float(row["val_loss"]) for stage in ("head", "finetune") for row in history(job.work, stage)]
    assert len(losses) == 8 + 3
    assert min(losses) < min(losses[:8])
    assert loss_of(network, job.eval_pictures) == pytest.approx(min(losses), abs=2e-3)
    [folder] = job.work.glob("*-2")
    assert np.load(folder / "activations-train.npy").shape == (2, 48, 7, 7, 16)
    assert np.load(folder / "activations-eval.npy").dtype == np.float16


@pytest.mark.slow
def test_interrupted_it_goes_on_without_running_the_frozen_part_again(data, tmp_path):
    job = job_of(data, tmp_path, caching())

    def interrupt(progress: Progress) -> None:
        if progress.part == "finetune" and progress.note.startswith("epoch 3/3"):
            raise KeyboardInterrupt

    with listen(interrupt), pytest.raises(KeyboardInterrupt):
        fit(job)
    seen: list[Progress] = []
    with listen(seen.append):
        network = fit(job)
    assert {progress.part for progress in seen} == {"finetune"}
    assert seen[0].note.startswith("epoch 3/3")
    assert (answers(network, job.eval_pictures).argmax(1) == job.eval_pictures.labels).mean() > 0.7


def test_network_without_a_frozen_part_is_refused(data, tmp_path):
    whole = caching(CACHED.model_copy(update={"unfreeze_from": "stem"})).model_copy(update={"head": None})
    with pytest.raises(RecipeError, match=r"cannot be divided below 'stem'.*leave views out"):
        fit(job_of(data, tmp_path, whole))


def test_disk_without_room_for_it_is_said_before_it_is_full(data, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**6, 10**6 - 1000, 1000))
    with pytest.raises(FashionError, match=r"train.npy: 2 views of 48 pictures take .* GB are free there; make room"):
        fit(job_of(data, tmp_path, caching()))
    assert not list(tmp_path.glob("**/*.npy"))
