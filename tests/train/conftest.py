"""What the tests of training share; TensorFlow is imported where a test needs it."""

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def small_backbone() -> Iterator[None]:
    """A small trunk under a real one's name."""
    from components.networks import backbones
    from tests.train.small import put_small_trunk

    real = backbones.BACKBONES["efficientnet_lite0"]
    put_small_trunk()
    yield
    backbones.BACKBONES["efficientnet_lite0"] = real


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of three classes to train on and to evaluate."""
    from tests.train.small import write_examples

    folder = tmp_path_factory.mktemp("data")
    write_examples(folder / "train-0.gz", [0, 1, 2] * 8, [1] * 24, seed=0)
    write_examples(folder / "train-1.gz", [0, 1, 2] * 8, [1] * 24, seed=1)
    write_examples(folder / "eval-0.gz", [0, 1, 2] * 10, [1] * 30, seed=2)
    return folder


@pytest.fixture
def own_data(data: Path, tmp_path: Path) -> Path:
    """A copy, in a folder that a test may write to."""
    for file in data.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path
