"""Training without pretrained weights: one phase, all of the network, its batch norms with it."""

from collections.abc import Sequence
from dataclasses import replace

import keras
import numpy as np
import pytest

from components.networks.settings import Model
from components.train.fit import fit
from components.train.settings import Finetune, Head, Train
from tests.train.small import PLAIN, answers, history, job_of

SMALL = Model(backbone="resnet_small", weights="none", dropout=0.0)
FROM_NOTHING = Train(
    batch_size=8,
    optimizer="sgd",
    ema=0.0,
    strategy="none",
    augment=PLAIN,
    head=None,
    finetune=Finetune(epochs=4, learning_rate=0.05, warmup=1, unfreeze_from="stem"),
)


@pytest.mark.slow
def test_network_from_nothing_learns_in_one_phase_with_its_batch_norms(data, tmp_path):
    mixed = FROM_NOTHING.model_copy(update={"augment": PLAIN.model_copy(update={"mixup": 0.1, "erase": 0.25})})
    job = replace(job_of(data, tmp_path, mixed), model=SMALL)
    network = fit(job)
    assert sorted(file.name for file in tmp_path.iterdir() if file.suffix == ".csv") == ["finetune.csv"]
    assert [int(row["epoch"]) for row in history(tmp_path, "finetune")] == [0, 1, 2, 3]
    assert (answers(network, job.eval_pictures).argmax(1) == job.eval_pictures.labels).mean() > 0.7
    assert all(np.abs(norm - 1).max() > 1e-3 for norm in moving_variances(network))


def moving_variances(network: keras.Model) -> Sequence[np.ndarray]:
    return [weight.numpy() for weight in network.weights if weight.path.endswith("moving_variance")]


@pytest.mark.parametrize(
    ("weights", "head", "setting", "trained"),
    [
        ("none", None, "auto", True),
        ("none", Head(), "auto", False),
        ("imagenet", None, "auto", False),
        ("imagenet", Head(), "train", True),
        ("none", None, "frozen", False),
    ],
)
def test_batch_norms_are_trained_where_nothing_is_known_yet(data, tmp_path, weights, head, setting, trained):
    stage = Finetune(batch_norm=setting)
    job = job_of(data, tmp_path, Train(head=head, finetune=stage))
    job = replace(job, model=Model(backbone="resnet18", weights=weights))
    assert job.trains_batch_norm(stage) is trained
