"""A run's copy answers as the model's server in an environment of ONNX Runtime, numpy, Pillow and the client alone."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import fashion_client
import numpy as np
import pytest

from tests import HOUSE
from tests.conftest import Place
from tests.contract.endpoint import ServerProcess

pytestmark = pytest.mark.slow

ASK = """
import importlib.metadata, json, pathlib, sys
from fashion_client.local import local
with local(sys.argv[1]) as client:
    pictures = sorted(pathlib.Path(sys.argv[2]).iterdir())
    said = [(answer.label, answer.decision, answer.error) for answer in client.predict(pictures)]
    vectors = [list(answer.vector) for answer in client.embed(pictures)]
    print(json.dumps([said, vectors, client.check(), [each.name for each in importlib.metadata.distributions()]]))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with nothing else."""
    folder = tmp_path_factory.mktemp("alone")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    shutil.copytree(HOUSE / "serving" / "fashion_client", folder / "client")  # pip builds in the folder itself
    for packages in (["onnxruntime", "numpy", "pillow"], ["--no-deps", folder / "client"]):
        done = subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], stderr=subprocess.PIPE, text=True)
        if any(sign in done.stderr for sign in ("NewConnectionError", "NameResolutionError", "ProxyError")):
            pytest.skip("the package index cannot be reached")
        assert done.returncode == 0, done.stderr
    return python


def test_a_copy_answers_without_tensorflow_as_the_server_does(place: Place, python: Path) -> None:
    ran = place.fashion("run", "--set", "export={formats: [onnx]}")
    assert ran.code == 0, ran.out + ran.err
    assert "the model" in ran.out
    [bundle] = (place.work / "runs" / "exports" / "quickstart" / "onnx").iterdir()
    [images] = (place.work / "runs").glob("catalogue-*/images")
    asked = subprocess.run(
        [python, "-c", ASK, bundle, images], capture_output=True, text=True, check=True, cwd="/",
        env={"LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", "")},
    )  # fmt: skip
    said, vectors, faults, packages = json.loads(asked.stdout)
    assert faults == []
    assert not {name for name in packages if name.startswith(("tensorflow", "grpc", "keras"))}
    server = ServerProcess("--model-base", place.work / "runs" / "serving")
    with fashion_client.connect(server.rest, "quickstart") as client:
        pictures = sorted(images.iterdir())
        wanted = [(answer.label, answer.decision, answer.error) for answer in client.predict(pictures)]
        own = [answer.vector for answer in client.embed(pictures)]
    server.end()
    assert len(said) > 800
    assert said == [list(answer) for answer in wanted]
    cosines = [np.dot(one, other) for one, other in zip(vectors, own, strict=True) if one]
    assert min(cosines) >= 0.999
