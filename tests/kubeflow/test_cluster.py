"""Kubeflow's server is reached, or what is wrong with its address, its answer or the token is told in one line."""

import base64
import json
import ssl

import kfp
import pytest
from click.testing import CliRunner

from pipeline.commands.schedule import schedule, submit
from pipeline.kubeflow import cluster
from tests.certificates import Authority
from tests.kubeflow.kfp_commands import CRON, refused
from tests.kubeflow.kfp_commands import fashion as fashion
from tests.kubeflow.kfp_commands import package as package
from tests.kubeflow.kfp_commands import server as server
from tests.kubeflow.kfp_server import LOGIN_PAGE, Fault, kfp_server

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("localhost:8080", "--host localhost:8080: give the address with http:// or https://"),
        ("ftp://localhost", "--host ftp://localhost: give the address with http:// or https://"),
        ("http://", "--host http://: give the address with http:// or https://"),
        ("http://127.0.0.1:9", "http://127.0.0.1:9 cannot be reached (Connection refused). Check --host"),
        ("http://nowhere.invalid", "http://nowhere.invalid cannot be reached ("),
        ("https{}", "does not speak https: try http:// in --host"),
        ("http{}/elsewhere", "there is no Kubeflow Pipelines (404). Give the API's full address with --host"),
    ],
)
def test_a_wrong_address_is_told_in_one_line(server, package, host: str, said: str) -> None:
    host = host.format(server.url.removeprefix("http"))
    refused(CliRunner().invoke(submit, ["--host", host, "--package", str(package), "--param", "data=x"]), 9, said)


def test_a_server_that_does_not_take_the_call_is_told_in_one_line(server, fashion, monkeypatch) -> None:
    def nobody(*_: object, **__: object) -> None:
        raise TimeoutError

    monkeypatch.setattr("urllib3.util.connection.create_connection", nobody)
    refused(fashion(submit), 9, "cannot be reached (no connection within 10 s). Check --host and the network.\n")


def test_the_address_of_the_user_interface_will_do(server, fashion, package) -> None:
    result = CliRunner().invoke(schedule, ["--host", f"{server.url}/#/runs", "list"])
    assert (result.exit_code, result.stdout) == (0, f"{server.url} has no schedules made here\n")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            Fault("GET .*healthz", 404, '{"code": 5, "message": "Not Found"}'),
            "there is no Kubeflow Pipelines (404). Give the API's full address with --host",
        ),
        (Fault("GET .*healthz", *LOGIN_PAGE), "answered with a web page: it wants a login (give a token"),
        (
            Fault("GET .*healthz", 302, "", {"Location": "/dex/auth?client_id=kubeflow"}),
            "sends on to a login page, /dex/auth?client_id=kubeflow: give a token with --token-file",
        ),
        (
            Fault("GET .*healthz", 301, "", {"Location": "https://127.0.0.1/"}),
            "sends on to https: give --host with https://",
        ),
        (Fault("POST .*/runs", 401, "Unauthorized", {}), "does not accept a request without a token (401)"),
        (
            Fault("POST .*/runs", 403, "RBAC: access denied", {}),
            "a request without a token may not do this there (403)",
        ),
        (
            Fault("POST .*/runs", 404, '{"code": 5, "message": "Pipeline version x not found"}'),
            "/apis/v2beta1/runs: 404: Pipeline version x not found. Deleted meanwhile? Give the same command again",
        ),
        (Fault("POST .*/upload_version", 409), "somebody else made it just now (409: Internal Server Error: boom)"),
        (Fault("POST .*/runs", 400, '{"error_message": "no\\n such key"}'), "refused (400: no such key)"),
        (Fault("POST .*/runs", 500), "the server failed (500: Internal Server Error: boom). Try again later"),
        (Fault("POST .*/runs", 200, "{", JSON), "answered with a web page"),
        (Fault("GET .*/experiments", seconds=1.5), "cannot be reached (no answer within 0.5 s). Check --host and the"),
        (
            Fault("POST .*/runs", seconds=1.5),
            "no answer within 0.5 s). Check --host and the network. What was asked for",
        ),
        (Fault("POST .*/runs", None), "cannot be reached (the connection broke: "),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_error_of_the_server_is_told_in_one_line(server, fashion, monkeypatch, fault: Fault, said: str) -> None:
    if fault.seconds:
        monkeypatch.setattr(cluster, "TIMEOUT", (1, 0.5))
    server.faults = [fault]
    refused(fashion(submit), 9, said)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_only_reads_is_asked_again_until_it_is_answered(server, fashion, caplog, status: int) -> None:
    server.faults = [Fault("GET ", status, times=3), Fault("GET .*/pipelines", None, times=2)]
    assert fashion(submit).exit_code == 0
    assert caplog.records == []


@pytest.mark.parametrize("fault", [Fault("POST ", 503), Fault("POST ", None), Fault("POST ", seconds=1.5)], ids=str)
def test_what_changes_something_is_asked_once(server, fashion, monkeypatch, fault: Fault) -> None:
    if fault.seconds:
        monkeypatch.setattr(cluster, "TIMEOUT", (1, 0.5))
    server.faults = [fault]
    assert fashion(submit).exit_code == 9
    assert len(server.changes()) == 1


def web_token(expires: float) -> str:
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "RS256"}, {"exp": expires}, "signature")
    )


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("wrong", "does not accept the token in {} (401: Unauthenticated). Get a new one"),
        (web_token(1_700_000_000), "(401: Unauthenticated); it expired at 2023-11-14 22:13 UTC. Get a new one"),
        (web_token(9_000_000_000), "(401: Unauthenticated). Get a new one"),
        ("", "--token-file {}: is empty"),
        ("schlüssel", "--token-file {}: cannot be read: "),
    ],
)
def test_a_token_that_does_not_do_is_named_and_never_shown(server, fashion, tmp_path, token: str, said: str) -> None:
    server.token = "right"
    file = tmp_path / "token"
    file.write_text(token)
    result = fashion(submit, "--token-file", file)
    refused(result, 9, said.format(file))
    assert not token or token not in result.output


def test_a_token_may_stand_in_the_environment(server, fashion, monkeypatch) -> None:
    server.token = "right"
    monkeypatch.setenv("FASHION_KUBEFLOW_TOKEN", "right")
    assert fashion(submit).exit_code == 0
    monkeypatch.setenv("FASHION_KUBEFLOW_TOKEN", "left")
    refused(fashion(submit), 9, "does not accept the token in FASHION_KUBEFLOW_TOKEN (401: Unauthenticated)")


COOKIES = "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t{}\tauthservice_session\tabc\n"


@pytest.mark.parametrize(
    ("options", "file", "wanted"),
    [
        ("--cookie-file {}", "authservice_session=abc", {"Cookie": "authservice_session=abc"}),
        ("--cookie-file {}", "Cookie: a=1; b=2", {"Cookie": "a=1; b=2"}),
        ("--cookie-file {}", COOKIES.format(9_000_000_000), {"Cookie": "authservice_session=abc"}),
        ("--cookie-file {}", COOKIES.format(0), {"Cookie": "authservice_session=abc"}),
        ("--header X-Auth:abc", "", {"X-Auth": "abc"}),
        (
            "--header @{} --header kubeflow-userid:me",
            "X-Auth: abc\nX-Team: ml",
            {"X-Team": "ml", "kubeflow-userid": "me"},
        ),
    ],
)
def test_a_session_or_headers_open_a_server_behind_a_login(server, fashion, tmp_path, options, file, wanted) -> None:
    path = tmp_path / "login"
    path.write_text(file)
    server.wanted = wanted
    refused(
        fashion(submit), 9, "it wants a login (give a token with --token-file, or a browser's session with --cookie-"
    )
    assert fashion(submit, *options.format(path).split()).exit_code == 0
    assert fashion(schedule, *options.format(path).split(), *CRON).exit_code == 0


@pytest.mark.parametrize(
    ("options", "file", "said"),
    [
        ("--cookie-file {}", "", "--cookie-file {}: is empty"),
        ("--cookie-file {}", "abc", "--cookie-file {}: give cookies.txt, or a line like authservice_session=abc"),
        ("--cookie-file {}", COOKIES.format(1), "--cookie-file {}: its cookies have expired: log in again"),
        ("--cookie-file {}", COOKIES.format(0).replace("127.0.0.1", "shop.example"), "it has no cookie for 127.0.0.1"),
        ("--cookie-file {}", COOKIES.format("soon"), "--cookie-file {}: is not cookies.txt"),
        ("--header secret", "", "--header: give it as NAME: VALUE"),
        ("--header @{}", "X-Auth: abc\nsecret", "--header @{}: give it as NAME: VALUE"),
        ("--header @nowhere", "", "--header @nowhere: cannot be read"),
        ("--ca nowhere.pem", "", "--ca nowhere.pem: no certificates in PEM can be read from it"),
        ("--ca {}", "no PEM", "--ca {}: no certificates in PEM can be read from it"),
    ],
)
def test_a_login_that_cannot_be_used_is_named_and_never_shown(server, fashion, tmp_path, options, file, said) -> None:
    path = tmp_path / "login"
    path.write_text(file)
    result = fashion(submit, *options.format(path).split())
    refused(result, 9, said.format(path))
    assert "secret" not in result.output
    assert server.asked == []


def test_a_server_of_a_private_authority_is_asked_once_it_is_named(package, tmp_path) -> None:
    house, stranger = Authority(tmp_path / "house"), Authority(tmp_path / "stranger")
    pair, context = house.issue("server"), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate_file, pair.key_file)
    with kfp_server(context) as server:
        words = ["--host", server.url, "list", "--ca"]
        refused(CliRunner().invoke(schedule, [*words, str(stranger.file)]), 9, "name the file of its CA with --ca")
        assert CliRunner().invoke(schedule, [*words, str(house.file)]).exit_code == 0


def test_a_proxy_of_the_environment_is_used_unless_the_server_needs_none(server, monkeypatch) -> None:
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("http_proxy", server.url.replace("//", "//me:p%40ss@"))
    words = ["--host", "http://kubeflow.invalid", "list"]
    assert CliRunner().invoke(schedule, words).exit_code == 0
    assert base64.b64decode(server.headers["Proxy-Authorization"].split()[1]) == b"me:p@ss"
    server.faults = [Fault("GET ", 407, "")]
    refused(CliRunner().invoke(schedule, words), 9, "wants a login: HTTP_PROXY=http://USER:PASSWORD@")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    refused(
        CliRunner().invoke(schedule, words), 9, "cannot be reached through the proxy (Connection refused). Check HTTP_"
    )
    server.faults = []
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert CliRunner().invoke(schedule, ["--host", server.url, "list"]).exit_code == 0


def test_nothing_that_other_tools_left_behind_is_used(server, fashion, tmp_path, monkeypatch) -> None:
    context = tmp_path / "context.json"
    context.write_text('{"namespace": "theirs", "client_authentication_cookie": "theirs"}')
    monkeypatch.setattr(kfp.Client, "_LOCAL_KFP_CONTEXT", str(context))
    for variable in ("IAP_OAUTH2_CLIENT_ID", "APP_OAUTH2_CLIENT_ID", "OVERRIDE_EXPERIMENT_NAME"):
        monkeypatch.setenv(f"KF_PIPELINES_{variable}", "theirs")
    result = fashion(submit)
    assert result.exit_code == 0
    assert (server.headers.get("Cookie"), server.headers.get("Authorization")) == (None, None)
    assert "theirs" not in json.dumps([server.experiments, server.runs])


def test_a_server_of_many_users_wants_a_namespace_and_keeps_to_it(server, fashion) -> None:
    server.multi_user, server.namespaces = True, {"ml"}
    refused(fashion(submit), 9, "keeps a namespace for each user: name yours with --namespace")
    refused(
        fashion(submit, "--namespace", "hr"), 9, "may not do this in namespace hr (403: User 'me' is not authorized"
    )
    assert fashion(submit, "--namespace", "ml").exit_code == 0
    assert fashion(schedule, "--namespace", "ml", *CRON).exit_code == 0
    for kept in (server.pipelines, server.experiments):
        assert [each["namespace"] for each in kept.values()] == ["ml"]
    assert "six-class" in fashion(schedule, "--namespace", "ml", "list").stdout


@pytest.mark.parametrize(
    ("experiment", "said"),
    [
        ({"namespace": "hr"}, "experiment six-class is in namespace hr, not in ml"),
        ({"namespace": "ml", "storage_state": "ARCHIVED"}, "experiment six-class is archived: restore it"),
    ],
)
def test_an_experiment_that_cannot_be_used_is_refused(server, fashion, monkeypatch, experiment, said: str) -> None:
    server.multi_user = True
    server.experiments["1"] = {"display_name": "six-class", "experiment_id": "1", **experiment}
    monkeypatch.setattr(server, "list_experiments", lambda _: {"experiments": [*server.experiments.values()]})
    refused(fashion(submit, "--namespace", "ml"), 9, said)
    assert server.runs == {}
