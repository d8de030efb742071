"""Models in folders, published and removed as the pipeline does, and a manager that serves them."""

import asyncio
import os
import shutil
from contextlib import asynccontextmanager

import numpy as np
import pytest
from google.protobuf import text_format

from serving.server.config import ModelServerConfig, Options
from serving.server.errors import ServingError
from serving.server.manager import ModelManager, Spec
from serving.server.metrics import Metrics
from tests.serving.serving_model import LABELS, write_model

NAME = "six_class"
M = Spec(NAME)
FAST = Options(poll_seconds=0.03)
STILL = Options(poll_seconds=0)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Models that answer everything with the class of their number, 1 to 3."""
    folder = tmp_path_factory.mktemp("models")
    for number in (1, 2, 3):
        labels = (LABELS[number], *LABELS[:number], *LABELS[number + 1 :])
        write_model(folder / str(number), labels, bias=1000)
    return folder


@pytest.fixture(scope="module")
def pictures():
    from serving.contract import drawn_pictures

    return np.array(drawn_pictures(), object)


@pytest.fixture
def base(tmp_path, models):
    """The folder of a model with version 1."""
    put(models, tmp_path / NAME, 1)
    return tmp_path / NAME


def put(models, base, number, of=None):
    """Publishes a version as the pipeline does: whole, by renaming."""
    staging = base / f".staging-{number}"
    shutil.copytree(models / str(of or number), staging)
    os.rename(staging, base / str(number))


def remove(base, number):
    os.rename(base / str(number), base / f".removed-{number}")
    shutil.rmtree(base / f".removed-{number}")


def configured(*bases, policy="", labels=()):
    entries = (
        f'config {{ name: "{base.name}" base_path: "{base}" model_platform: "tensorflow" {policy} '
        + " ".join(f'version_labels {{ key: "{key}" value: {value} }}' for key, value in labels)
        + "}"
        for base in bases
    )
    return text_format.Parse(f"model_config_list {{ {' '.join(entries)} }}", ModelServerConfig())


@asynccontextmanager
async def serving(config, options=STILL, metrics=None):
    manager = ModelManager(config, options, metrics or Metrics())
    await manager.start()
    try:
        yield manager
    finally:
        await manager.stop()


def run(scenario):
    return asyncio.run(asyncio.wait_for(scenario(), 60))


async def until(holds):
    while not holds():
        await asyncio.sleep(0.01)


def states(manager, name=NAME):
    return {status.version: status.state for status in manager.status(name)}


async def ask(manager, pictures, spec=M):
    """The version that answers, having checked that the answer is that version's own."""
    answer = await manager.predict(spec, {"image_bytes": pictures})
    assert set(answer.outputs["label"]) == {LABELS[answer.version].encode()}
    return answer.version


async def refusal(awaitable):
    with pytest.raises(ServingError) as caught:
        await awaitable
    return caught.value.code.name, caught.value.message


SPECIFIC = "model_version_policy {{ specific {{ {} }} }}"


def specific(*versions):
    return SPECIFIC.format(" ".join(f"versions: {version}" for version in versions))
