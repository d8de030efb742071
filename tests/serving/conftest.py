"""Ways of asking the server that a module starts as its fixture `endpoint`."""

import pytest

from tests.contract.asking import Grpc, Rest
from tests.contract.endpoint import Endpoint


@pytest.fixture(scope="module")
def rest(endpoint: Endpoint) -> Rest:
    """Over REST."""
    return Rest(endpoint)


@pytest.fixture(scope="module")
def calls(endpoint: Endpoint) -> Grpc:
    """Over gRPC."""
    return Grpc(endpoint)
