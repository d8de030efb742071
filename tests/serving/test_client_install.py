"""The client as its users install it: alone, in an environment of its own."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import HOUSE
from tests.serving.fake_server import address as address
from tests.serving.fake_server import behaviour as behaviour
from tests.serving.fake_server import protocol as protocol

ASK = """
import importlib.util, json, sys
import fashion_client
with fashion_client.connect(sys.argv[1], "tiny") as client:
    labels = [answer.label for answer in client.predict([b"four", b"seven"])]
heavy = ("tensorflow", "tfx", "numpy", "components", "pipeline", "schema", "serving")
print(json.dumps([labels, [name for name in heavy if importlib.util.find_spec(name)]]))
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a virtual environment that holds the client and what it requires."""
    folder = tmp_path_factory.mktemp("alone")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    shutil.copytree(HOUSE / "serving" / "fashion_client", folder / "client")  # pip builds in the folder itself
    install = [python, "-m", "pip", "install", "--quiet", folder / "client"]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if any(sign in done.stderr for sign in ("NewConnectionError", "NameResolutionError", "ProxyError")):
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr
    return python


@pytest.mark.slow
def test_the_client_installs_and_answers_without_anything_else_of_this_project(alone: Path, address: str) -> None:
    asked = subprocess.run([alone, "-c", ASK, address], capture_output=True, text=True, check=True, cwd="/", env={})
    labels, heavy = json.loads(asked.stdout)
    assert (len(labels), heavy) == (2, [])


@pytest.mark.slow
def test_the_application_is_refused_where_it_would_take_names_of_others(tmp_path: Path) -> None:
    wheel = [sys.executable, "setup.py", "--quiet", "bdist_wheel", "--dist-dir", str(tmp_path)]
    done = subprocess.run(wheel, cwd=HOUSE, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install ./serving/fashion_client" in done.stderr
    assert not list(tmp_path.iterdir())
