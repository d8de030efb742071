"""Starting from a model that was trained here: its trunk is taken whole, and only where that is fair."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import yaml

from components.errors import WeightsError
from components.networks.backbones import build_trunk
from components.networks.classifier import kinds_head, pooled_trunk, serving_network, softmax_head, tapped
from components.networks.folding import fold_batch_norms
from components.networks.settings import Model
from components.outside.score import Score
from components.train.earlier import MEMBERS, RECIPE, check_earlier
from tests.train.exporting import export

SIZE = 32


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, keras.Model]:
    """The folder of a published model, and its trunk."""
    folder = tmp_path_factory.mktemp("serving") / "articles" / "1"
    settings = Model(backbone="resnet_small", weights="none")
    trunk = pooled_trunk(settings, SIZE)
    random = np.random.default_rng(2)
    for layer in trunk.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    head = softmax_head(settings, trunk.output_shape[-1], np.zeros(3))
    seeing = tapped(fold_batch_norms(trunk), "resnet_small")
    width = seeing.output_shape[-1]
    assert width > trunk.output_shape[-1]
    kinds = Score(random.normal(size=(width, 2)).astype(np.float32), np.zeros(2, np.float32), np.array([False, True]))
    export(serving_network(seeing, head, kinds_head(kinds, head)), folder)
    _record(folder)
    return folder, trunk


def _record(folder: Path, **changes: Mapping[str, Any]) -> Path:
    recipe = {"model": {"backbone": "resnet_small", "weights": "none"}, **changes}
    file = folder / RECIPE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    (folder / MEMBERS).touch()
    return folder


def test_its_trunk_is_taken_with_all_that_it_has_learnt(published):
    folder, trunk = published
    check_earlier(Model(backbone="resnet_small", weights=str(folder)))
    pictures = np.random.default_rng(1).uniform(0, 255, (4, SIZE, SIZE, 3)).astype(np.float32)
    fresh, started = (
        pooled_trunk(Model(backbone="resnet_small", weights=weights), SIZE) for weights in ("none", str(folder))
    )
    np.testing.assert_allclose(started(pictures), trunk(pictures), rtol=1e-3, atol=1e-4)
    assert not np.allclose(fresh(pictures), trunk(pictures), rtol=1e-2)


def test_weights_that_are_no_folder_are_left_to_others():
    for weights in ("imagenet", "none", __file__):
        check_earlier(Model(weights=weights))


@pytest.mark.parametrize(
    ("backbone", "weights", "answer"),
    [
        ("efficientnet_b0", "imagnet", "'imagnet' is neither .*; did you mean 'imagenet'"),
        ("efficientnet_b0", "no/weights.h5", "'no/weights.h5' is neither a file, a model's folder nor known"),
        ("resnet18", "runs/serving/article_type/1", "is neither a file, a model's folder nor known for resnet18"),
        ("resnet_small", __file__, "there are none for resnet_small"),
    ],
)
def test_weights_that_cannot_be_had_are_refused_before_anything_is_built(backbone, weights, answer):
    with pytest.raises(WeightsError, match=answer):
        check_earlier(Model(backbone=backbone, weights=weights))


@pytest.mark.parametrize(
    ("changes", "error", "answer"),
    [
        ({"model": {"backbone": "resnet18", "weights": "none"}}, WeightsError, "is resnet18, and model.backbone is"),
        (
            {"model": {"backbone": "resnet_small", "weights": "none", "front": "edgenet"}},
            WeightsError,
            "resnet_small behind edgenet",
        ),
        ({"model": {}}, WeightsError, "is efficientnet_b0"),
        ({"model": None}, WeightsError, "is not a published model"),
    ],
)
def test_a_start_that_is_not_fair_or_does_not_fit_is_refused(tmp_path, changes, error, answer):
    folder = _record(tmp_path, **changes)
    with pytest.raises(error, match=answer):
        check_earlier(Model(backbone="resnet_small", weights=str(folder)))


def test_a_model_that_does_not_tell_whom_it_was_trained_on_is_refused(tmp_path):
    (_record(tmp_path) / MEMBERS).unlink()
    with pytest.raises(WeightsError, match=r"does not tell which products it was trained on.*publish it again"):
        check_earlier(Model(backbone="resnet_small", weights=str(tmp_path)))


def test_a_folder_that_holds_no_model_is_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"is not a published model.*e\.g\. runs/serving"):
        check_earlier(Model(weights=str(tmp_path)))
    with pytest.raises(WeightsError, match="not readable as a published model"):
        build_trunk("resnet_small", str(tmp_path), SIZE)


def test_a_model_of_another_network_is_refused(published):
    with pytest.raises(WeightsError, match="not the weights of"):
        build_trunk("cnn", str(published[0]), SIZE)
