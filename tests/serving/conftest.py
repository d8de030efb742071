"""Ways of asking the server that a module starts as its fixture `endpoint`, and a server that needs no model."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.asking import Grpc, Rest
from tests.contract.endpoint import Endpoint
from tests.serving.fake_server import Behaviour, rest_server


@pytest.fixture(scope="module")
def rest(endpoint: Endpoint) -> Rest:
    """Over REST."""
    return Rest(endpoint)


@pytest.fixture(scope="module")
def calls(endpoint: Endpoint) -> Grpc:
    """Over gRPC."""
    return Grpc(endpoint)


@pytest.fixture
def behaviour() -> Behaviour:
    """What the server that needs no model does."""
    return Behaviour()


@pytest.fixture
def server(behaviour: Behaviour) -> Iterator[list[str]]:
    """The options that name a server."""
    with rest_server(behaviour) as address:
        yield ["--server", address, "--model-name", "tiny"]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
