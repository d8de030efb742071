"""The server under test, and pictures to ask it about."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.contract.asking import Asking, Grpc, Rest
from tests.contract.endpoint import Endpoint, ServerProcess

TWO_VERSIONS = """
model_config_list {{
  config {{
    name: "tiny"
    base_path: "{base}"
    model_platform: "tensorflow"
    model_version_policy {{ all {{}} }}
    version_labels {{ key: "stable" value: 1 }}
    version_labels {{ key: "canary" value: 2 }}
  }}
}}
"""


def drawn(number: int) -> bytes:
    """A JPEG or PNG of 60 x 80 pixels that looks like no other number's."""
    random = np.random.default_rng(number)
    picture = Image.fromarray(random.integers(0, 256, (8, 6, 3)).astype(np.uint8)).resize((60, 80))
    stream = io.BytesIO()
    picture.save(stream, "PNG" if number % 2 else "JPEG")
    return stream.getvalue()


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """The server that FASHION_ENDPOINT names; without it a local one with two versions and labels for them."""
    named = os.environ.get("FASHION_ENDPOINT")
    if named:
        yield Endpoint.parse(named)
        return
    from tests.serving.serving_model import write_model

    folder: Path = tmp_path_factory.mktemp("contract")
    for version in (1, 2):
        write_model(folder / "tiny" / str(version), seed=version)
    (folder / "models.config").write_text(TWO_VERSIONS.format(base=folder / "tiny"))
    server = ServerProcess("--model-config", folder / "models.config")
    yield Endpoint(server.rest, server.grpc, "tiny", "canary")
    assert server.end() == 0, server.log()


@pytest.fixture(scope="session")
def rest(endpoint: Endpoint) -> Rest:
    return Rest(endpoint)


@pytest.fixture(scope="session")
def grpc(endpoint: Endpoint) -> Grpc:
    return Grpc(endpoint)


@pytest.fixture(params=["rest", "grpc"])
def ask(request: pytest.FixtureRequest) -> Asking:
    """Either protocol."""
    asking: Asking = request.getfixturevalue(request.param)
    return asking


@pytest.fixture(scope="session")
def pictures() -> list[bytes]:
    """Forty pictures, all different."""
    return [drawn(number) for number in range(40)]
