"""TLS between the server and its clients, over both protocols, and what goes wrong with it."""

import contextlib
from collections.abc import Iterator

import pytest
from fashion_client import Retries, Timeouts, Tls, Unavailable, Untrusted, connect

from serving.server.config import Options
from serving.server.errors import ServingError
from serving.server.limits import Limits
from serving.server.tls import read_ssl_config
from tests.certificates import Authority, ssl_config
from tests.contract.endpoint import Endpoint, running

ONCE, SOON = Retries(attempts=1), Timeouts(connect=10, read=10, total=10)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Holds a model that cannot be loaded: its status can be asked for."""
    folder = tmp_path_factory.mktemp("tls")
    (folder / "models" / "broken" / "1").mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def house(folder):
    return Authority(folder / "house")


@pytest.fixture(scope="module")
def stranger(folder):
    return Authority(folder / "stranger")


@pytest.fixture(scope="module")
def servers(folder, house) -> Iterator[dict[str, Endpoint]]:
    """Servers by what is particular about them."""
    server = house.issue("server")
    configs = {
        "sound": ssl_config(folder / "sound", server),
        "expired": ssl_config(folder / "expired", house.issue("expired", days=-1)),
        "knowing its clients": ssl_config(folder / "verify", server, house),
        "plain": None,
    }
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(
                running(folder / "models", Limits(), Options(), tls=read_ssl_config(path) if path else None)
            )
            for name, path in configs.items()
        }


@pytest.fixture(params=["https", "grpcs"])
def scheme(request) -> str:
    return str(request.param)


def ask(endpoint: Endpoint, scheme: str, tls: Tls | None, host: str = "127.0.0.1") -> list[str]:
    where = endpoint.rest.rpartition(":") if scheme.startswith("http") else endpoint.grpc.rpartition(":")
    with connect(f"{scheme}://{host}:{where[2]}", "broken", tls=tls, retries=ONCE, timeouts=SOON) as client:
        return [version.state for version in client.status()]


def test_clients_that_know_the_authority_are_answered(servers, house, scheme):
    assert ask(servers["sound"], scheme, Tls(ca=house.file)) == ["END"]


def test_server_that_knows_its_clients_answers_those_with_a_certificate(servers, house, scheme):
    own = house.issue("client")
    tls = Tls(house.file, own.certificate_file, own.key_file)
    assert ask(servers["knowing its clients"], scheme, tls) == ["END"]


@pytest.mark.parametrize(
    ("server", "client", "host", "kind", "answer"),
    [
        ("sound", "of the system", "127.0.0.1", Untrusted, "unable to get local issuer"),
        ("sound", "of a stranger", "127.0.0.1", Untrusted, "unable to get local issuer"),
        ("sound", "of the house", "localhost", Untrusted, "(?i)hostname (mismatch|verification)"),
        ("expired", "of the house", "127.0.0.1", Untrusted, "certificate has expired"),
        ("plain", "of the house", "127.0.0.1", Untrusted, "WRONG_VERSION_NUMBER"),
        # Here the server alone knows why it hangs up.
        ("knowing its clients", "of the house", "127.0.0.1", Unavailable, "cut|closed.*or a certificate of yours"),
        ("knowing its clients", "with a stranger's certificate", "127.0.0.1", Unavailable, "cut|closed"),
        ("sound", "without TLS", "127.0.0.1", Unavailable, "cut|closed.*whether it wants TLS"),
    ],
)
def test_sides_that_do_not_trust_each_other_say_why(
    servers, house, stranger, scheme, server, client, host, kind, answer
):
    own = stranger.issue("client")
    tls = {
        "of the system": Tls(),
        "of a stranger": Tls(ca=stranger.file),
        "of the house": Tls(ca=house.file),
        "with a stranger's certificate": Tls(house.file, own.certificate_file, own.key_file),
        "without TLS": None,
    }[client]
    with pytest.raises(kind, match=answer):
        ask(servers[server], scheme if tls else scheme[:-1], tls, host)


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        ("path in place of the text", r"server_key has to be the PEM text itself \(.*\), not the path of a file"),
        ("another key", "server_key is not the key of server_cert"),
        ("half a certificate", "server_key, server_cert or custom_ca cannot be read"),
        ("no authority to verify with", "custom_ca has to be the PEM text itself"),
        ("another file", 'no field named "models"'),
        ("no file", "No such file"),
    ],
)
def test_ssl_config_that_is_of_no_use_is_refused(tmp_path, house, fault, answer):
    pair, path = house.issue("server"), tmp_path / "ssl.config"
    ssl_config(path, pair, house)
    text = path.read_text()
    path.write_text(
        {
            "path in place of the text": 'server_key: "/etc/tls/key.pem"',
            "another key": text.replace(pair.key.replace("\n", "\\n"), house.issue("other").key.replace("\n", "\\n")),
            "half a certificate": text.replace(pair.certificate.replace("\n", "\\n")[-300:], ""),
            "no authority to verify with": text.partition("custom_ca")[0] + "client_verify: true",
            "another file": "models { }",
        }.get(fault, text)
    )
    if fault == "no file":
        path.unlink()
    with pytest.raises(ServingError, match=answer):
        read_ssl_config(path)


@pytest.mark.parametrize(
    ("tls", "answer"),
    [
        ({"certificate": "c.pem"}, "certificate and key go together"),
        ({"ca": "nowhere.pem"}, "ca nowhere.pem: no certificates"),
        ({"certificate": "nowhere.pem", "key": "nowhere.key"}, "certificate nowhere.pem, key nowhere.key"),
    ],
)
def test_files_of_a_client_that_are_of_no_use_are_named(tls, answer):
    with pytest.raises(ValueError, match=answer):
        Tls(**tls)


def test_tls_is_not_for_addresses_without_it():
    with pytest.raises(ValueError, match="without TLS"):
        connect("http://localhost:8501", "m", tls=Tls())
