"""`fashion submit` and `fashion schedule`: kfp's real client against a strict stand-in for Kubeflow Pipelines."""

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import kfp
import pytest
from click.testing import CliRunner, Result
from kfp import compiler, dsl
from kfp_server import LOGIN_PAGE, Fault, KfpServer, kfp_server

from components.errors import RecipeError
from pipeline.commands.schedule import kubeflow_cron, schedule, submit
from pipeline.kubeflow import cluster
from pipeline.kubeflow.package import read_package

CRON = ("--cron", "0 3 * * *")
JSON = {"Content-Type": "application/json"}


def write_package(path: Path, image: str = "fashion:1", cached: bool = False) -> Path:
    @dsl.container_component
    def ingest(data: str):  # type: ignore[no-untyped-def]
        return dsl.ContainerSpec(image=image, command=["fashion"], args=[data])

    @dsl.container_component
    def verdict():  # type: ignore[no-untyped-def]
        return dsl.ContainerSpec(image=image, command=["fashion"])

    @dsl.pipeline(name="six-class")
    def pipeline(data: str, epochs: int = 3, rate: float = 0.1, again: bool = False, labels: list = []):  # noqa: B006
        with dsl.ExitHandler(verdict().set_caching_options(False)):
            ingest(data=data).set_caching_options(cached)

    compiler.Compiler().compile(pipeline, str(path))
    return path


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_package(tmp_path_factory.mktemp("package") / "fashion.yaml")


@pytest.fixture(scope="module")
def next_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_package(tmp_path_factory.mktemp("next") / "fashion.yaml", image="fashion:2")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[KfpServer]:
    monkeypatch.setattr(cluster, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(cluster, "RETRIES", cluster.RETRIES.new(backoff_factor=0.01))
    for variable in ("FASHION_KUBEFLOW_TOKEN", "KF_PIPELINES_SA_TOKEN_PATH", "KF_PIPELINES_UI_ENDPOINT"):
        monkeypatch.delenv(variable, raising=False)
    with kfp_server() as running:
        yield running


@pytest.fixture
def fashion(server: KfpServer, package: Path) -> Callable[..., Result]:
    """Runs a command on the server, with a package unless another is named."""

    def run(command, *args: str | Path) -> Result:  # type: ignore[no-untyped-def]
        words = [str(arg) for arg in args]
        if command is submit or "--cron" in words:
            words += [] if "--package" in words else ["--package", str(package)]
            words += [] if "data" in " ".join(words).split("=")[0] else ["--param", "data=/shop"]
        return CliRunner().invoke(command, ["--host", server.url, *words])

    return run


@pytest.fixture
def the_schedule(server: KfpServer, fashion) -> dict:
    """One schedule is there, and what was asked for it is forgotten."""
    assert fashion(schedule, *CRON).exit_code == 0
    server.asked.clear()
    server.balance.clear()
    return next(iter(server.recurring.values()))


def refused(result: Result, code: int, said: str) -> None:
    assert (result.exit_code, result.stderr.count("\n")) == (code, 1), result.output
    assert said in result.stderr


def settled(server: KfpServer) -> dict:
    """The one schedule there is, which is on; on the way there were never two on, nor none at all."""
    (only,) = server.recurring.values()
    assert only["mode"] == "ENABLE"
    assert all(on <= 1 <= there for there, on in server.balance)
    return only


def test_submit_uploads_the_package_and_starts_a_run_of_that_version(server, fashion, package) -> None:
    given = ("data=/shop", "epochs=5", "rate=1", "again=true", 'labels=["a"]')
    parameters = [word for each in given for word in ("--param", each)]
    result = fashion(submit, *parameters, "--run-name", "tonight", "--service-account", "trainer")
    (run,), (version,), (experiment,) = (each.values() for each in (server.runs, server.versions, server.experiments))
    assert result.exit_code == 0, result.output
    assert run["display_name"] == "tonight"
    assert run["pipeline_version_reference"]["pipeline_version_id"] == version["pipeline_version_id"]
    assert run["runtime_config"]["parameters"] == {
        "data": "/shop", "epochs": 5, "rate": 1, "again": True, "labels": ["a"],
    }  # fmt: skip
    assert (run["experiment_id"], experiment["display_name"]) == (experiment["experiment_id"], "six-class")
    assert run["service_account"] == "trainer"
    assert version["pipeline_spec"]["pipelineInfo"]["name"] == "six-class"
    assert version["display_name"] == read_package(package).version
    assert f"{server.url}/#/runs/details/{run['run_id']}" in result.stdout
    assert "details:" not in result.output, "kfp prints links of its own"


def test_a_package_is_uploaded_once_and_a_changed_one_is_another_version(server, fashion, next_package) -> None:
    for _ in range(2):
        fashion(submit)
    assert len(server.versions) == 1
    fashion(submit, "--package", next_package)
    assert (len(server.pipelines), len(server.versions), len(server.runs)) == (1, 2, 3)
    assert len({version["display_name"] for version in server.versions.values()}) == 2


@pytest.mark.parametrize(
    ("state", "code", "said"),
    [
        ("SUCCEEDED", 0, "succeeded tonight"),
        ("FAILED", 9, "run tonight failed in ingest: the log is at http://"),
        ("CANCELED", 9, "run tonight canceled in ingest: the log is at http://"),
    ],
)
def test_wait_tells_what_becomes_of_each_task_and_exits_by_the_outcome(server, fashion, state, code, said) -> None:
    ended = "SUCCEEDED" if state == "SUCCEEDED" else "FAILED"
    server.progress = [
        ("PENDING", {}),
        ("RUNNING", {"root": "RUNNING", "ingest-driver": "SUCCEEDED", "ingest": "RUNNING", "verdict": "PENDING"}),
        ("RUNNING", {"root": "RUNNING", "ingest": ended, "verdict": "RUNNING"}),
        (state, {"root": ended, "ingest": ended, "verdict": "SUCCEEDED"}),
    ]
    result = fashion(submit, "--wait", "--run-name", "tonight")
    assert result.exit_code == code
    assert said in (result.stderr if code else result.stdout)
    told = [line.split() for line in result.stdout.splitlines() if line.startswith("  ") and "http" not in line]
    assert told == [
        ["ingest", "running"], ["ingest", ended.lower(), "58", "s"], ["verdict", "running"],
        ["verdict", "succeeded", "58", "s"],
    ]  # fmt: skip


def test_wait_outlives_a_server_that_is_away_and_a_token_that_is_renewed(server, fashion, tmp_path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    server.token = "first"
    server.progress = [("RUNNING", {})] * 3 + [("SUCCEEDED", {})]
    server.faults = [Fault("GET .*/runs/", None, times=6), Fault("GET .*/runs/", 503, times=6)]
    healthy = server.get_run

    def renewed(*args: object) -> object:
        server.token = "second"
        token.write_text("second\n")
        return healthy(*args)

    server.get_run = renewed  # type: ignore[method-assign]
    assert fashion(submit, "--wait", "--token-file", token).exit_code == 0
    assert server.headers["Authorization"] == "Bearer second"


def test_wait_gives_up_on_a_server_that_stays_away(server, fashion, monkeypatch) -> None:
    monkeypatch.setattr(cluster, "PATIENCE_SECONDS", 0.05)
    server.faults = [Fault("GET .*/runs/", 503)]
    refused(fashion(submit, "--wait"), 9, "the server failed (503: Internal Server Error: boom)")


def test_ctrl_c_while_waiting_says_that_the_run_goes_on(server, fashion, monkeypatch) -> None:
    def pressed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.kubeflow.submit.follow", pressed)
    refused(fashion(submit, "--wait"), 130, "the run goes on: http://")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--package nowhere.yaml", "--package nowhere.yaml: cannot be read: No such file or directory"),
        ("--package {no_package}", "is not a package; `fashion compile --target kubeflow` makes one"),
        ("--package {no_yaml}", "is not a package; `fashion compile --target kubeflow` makes one"),
        ("--package {cached}", "Kubeflow's cache is on for ingest"),
        ("--param data", "--param data: give it as key=value"),
        ("--param dta=x", "fashion.yaml has no such parameter; did you mean 'data'?"),
        ("--param data=x --param epochs=many", "--param epochs: 'many' is not a whole number"),
        ("--param data=x --param epochs=true", "--param epochs: 'true' is not a whole number"),
        ("--param data=x --param again=1", "--param again: '1' is not true or false"),
        ("--param data=x --param labels={{}}", "--param labels: '{}' is not a list, written as JSON"),
        ("--param epochs=3", "parameter data is needed and not given; add --param data=..."),
    ],
)
def test_a_wrong_package_or_parameter_is_told_before_the_server_is_asked(
    server, package, tmp_path, arguments: str, said: str
) -> None:
    (tmp_path / "recipe.yaml").write_text("name: six_class")
    (tmp_path / "broken.yaml").write_text("a: [")
    cached = write_package(tmp_path / "cached.yaml", cached=True)
    words = arguments.format(no_package=tmp_path / "recipe.yaml", no_yaml=tmp_path / "broken.yaml", cached=cached)
    given = words.split() if "--package" in words else ["--package", str(package), *words.split()]
    refused(CliRunner().invoke(submit, ["--host", server.url, *given]), 2, said)
    assert server.asked == []


@pytest.mark.parametrize(
    ("command", "arguments", "said"),
    [
        (submit, "", "Give --package, or --recipe with --image."),
        (submit, "--package a --recipe six_class", "Give --package, or --recipe with --image."),
        (submit, "--recipe six_class", "--recipe needs --image"),
        (submit, "--package a --set gate.recall=0.9", "--image, --set, --pvc and --metadata-secret go with --recipe"),
        (schedule, "", "Give one of: list, --cron"),
        (schedule, "list --disable nightly", "Give one of: list, --cron"),
        (schedule, "--disable nightly --package a", "--package and --recipe go with --cron"),
        (schedule, "--cron daily --package a", "give five fields"),
    ],
)
def test_options_that_do_not_go_together_are_refused(server, command, arguments: str, said: str) -> None:
    result = CliRunner().invoke(command, ["--host", server.url, *arguments.split()])
    assert result.exit_code == 2
    assert said in result.stderr
    assert server.asked == []


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


def test_a_schedule_runs_one_at_a_time_and_makes_up_for_none(server, fashion) -> None:
    result = fashion(schedule, *CRON)
    (made,), (version,) = server.recurring.values(), server.versions.values()
    assert made["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * *"}}
    assert (made["max_concurrency"], made["no_catchup"], made["mode"]) == ("1", True, "ENABLE")
    assert made["pipeline_version_reference"]["pipeline_version_id"] == version["pipeline_version_id"]
    assert made["runtime_config"]["parameters"] == {"data": "/shop"}
    assert f"scheduled six-class: {version['display_name']} by 0 3 * * * UTC" in result.stdout
    assert f"{server.url}/#/recurringrun/details/{made['recurring_run_id']}" in result.stdout


def test_the_same_command_again_changes_nothing(server, fashion, the_schedule) -> None:
    result = fashion(schedule, *CRON)
    assert (result.exit_code, server.changes()) == (0, [])
    assert result.stdout.startswith("unchanged six-class: ")


@pytest.mark.parametrize(
    "changed",
    [
        ("--cron", "30 4 * * 1-5"),
        (*CRON, "--param", "data=/shop", "--param", "epochs=9"),
        (*CRON, "--experiment", "nightly"),
        (*CRON, "--service-account", "trainer"),
    ],
    ids=lambda changed: changed[-1],
)
def test_whatever_changes_replaces_the_schedule(server, fashion, the_schedule, changed) -> None:
    assert fashion(schedule, *changed).exit_code == 0
    assert settled(server)["recurring_run_id"] != the_schedule["recurring_run_id"]


def test_a_new_package_takes_the_schedule_over(server, fashion, the_schedule, next_package) -> None:
    result = fashion(schedule, *CRON, "--package", next_package)
    newest = [*server.versions.values()][-1]
    assert settled(server)["pipeline_version_reference"]["pipeline_version_id"] == newest["pipeline_version_id"]
    assert "replaced  six-class: " in result.stdout
    assert not result.stderr


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("passed", range(5), ids=["upload", "create", "disable old", "enable new", "delete old"])
def test_a_replacement_cut_short_anywhere_is_finished_by_the_same_command(
    server, fashion, the_schedule, next_package, passed: int, late: bool
) -> None:
    command = (schedule, *CRON, "--package", next_package)
    server.faults = [Fault("^(POST|DELETE)", None, late=late, after=passed)]
    assert fashion(*command).exit_code == 9
    server.faults = []
    assert len(server.recurring) in (1, 2)
    result = fashion(*command)
    assert result.exit_code == 0, result.output
    assert settled(server)["pipeline_version_reference"]["pipeline_version_id"] == [*server.versions][-1]


def test_a_run_under_way_is_neither_lost_nor_run_beside(server, fashion, the_schedule, next_package) -> None:
    run = server.start_scheduled(the_schedule["recurring_run_id"])
    for arguments in ((*CRON, "--package", next_package), ("--delete", "six-class")):
        refused(fashion(schedule, *arguments), 9, "six-class: its run Run of six-class is under way and would be lost")
    assert [*server.recurring.values()] == [the_schedule]
    ends = threading.Timer(0.2, lambda: server.runs[run].update(state="FAILED"))
    ends.start()
    result = fashion(schedule, *CRON, "--package", next_package, "--wait")
    ends.join()
    assert result.exit_code == 0, result.output
    assert result.stdout.count("waiting   for Run of six-class to end") == 1
    assert settled(server)["recurring_run_id"] != the_schedule["recurring_run_id"]
    assert server.lost == []


def test_a_run_that_starts_during_a_replacement_is_not_lost(server, fashion, the_schedule, next_package) -> None:
    switch = server.switch_recurring

    def started_just_before(_: object, recurring_run_id: str, verb: str) -> object:
        if verb == "disable":
            server.start_scheduled(recurring_run_id)
        return switch(_, recurring_run_id, verb)

    server.switch_recurring = started_just_before  # type: ignore[method-assign]
    refused(fashion(schedule, *CRON, "--package", next_package), 9, "is under way and would be lost")
    assert server.lost == []
    assert the_schedule["mode"] == "ENABLE"
    assert all(on <= 1 <= there for there, on in server.balance)


def test_a_schedule_that_was_switched_off_stays_off(server, fashion, the_schedule, next_package) -> None:
    assert fashion(schedule, "--disable", "six-class").stdout == "disabled  six-class\n"
    assert "it is off, --enable six-class switches it on" in fashion(schedule, *CRON).stdout
    assert "it is off, as the old one was" in fashion(schedule, *CRON, "--package", next_package).stdout
    assert [each["mode"] for each in server.recurring.values()] == ["DISABLE"]
    assert fashion(schedule, "--enable", "six-class").exit_code == 0
    settled(server)


def test_half_a_replacement_is_not_enabled(server, fashion, the_schedule, next_package) -> None:
    server.faults = [Fault("enable$", 500)]
    fashion(schedule, *CRON, "--package", next_package)
    server.faults = []
    refused(fashion(schedule, "--enable", "six-class"), 9, "finish with `fashion schedule --cron`")
    assert fashion(schedule, "--disable", "six-class").exit_code == 0
    assert [each["mode"] for each in server.recurring.values()] == ["DISABLE", "DISABLE"]


def test_list_shows_every_schedule_made_here_and_no_other(server, fashion, package) -> None:
    for number in range(5):
        fashion(schedule, "--cron", f"{number} 3 * * *", "--name", f"shop-{number}")
    fashion(schedule, "--disable", "shop-3")
    server.recurring["0"] = {
        **next(iter(server.recurring.values())),
        "display_name": "theirs",
        "description": "by hand",
    }
    version = read_package(package).version
    assert fashion(schedule, "list").stdout.splitlines() == [
        f"shop-{number}  {'off' if number == 3 else 'on '}  {number} 3 * * * UTC  {version}" for number in range(5)
    ]


def test_what_somebody_made_by_hand_is_not_touched(server, fashion, the_schedule) -> None:
    the_schedule["description"] = "by hand"
    refused(fashion(schedule, "--delete", "six-class"), 9, "has no schedule six-class; it has none")
    assert fashion(schedule, *CRON).exit_code == 0
    assert the_schedule in server.recurring.values()
    assert len(server.recurring) == 2


def test_delete_removes_one_schedule_by_name(server, fashion, the_schedule) -> None:
    fashion(schedule, *CRON, "--name", "other")
    refused(fashion(schedule, "--delete", "six-clas"), 9, "has no schedule six-clas; did you mean 'six-class'? known:")
    assert fashion(schedule, "--delete", "six-class").stdout == "deleted   six-class\n"
    assert [each["display_name"] for each in server.recurring.values()] == ["other"]


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ("0 3 * * *", "0 0 3 * * *"),
        ("30 0 3 * * *", "30 0 3 * * *"),
        ("*/15 8-18 * * MON-fri", "0 */15 8-18 * * MON-fri"),
        ("0,30 0 1,15 JAN-jun/2 ?", "0 0,30 0 1,15 JAN-jun/2 ?"),
        ("5/20 3 29 2 *", "0 5/20 3 29 2 *"),
        ("0 3 31 2 sun", "0 0 3 31 2 sun"),
    ],
)
def test_cron_is_given_the_seconds_that_kubeflow_wants(given: str, fields: str) -> None:
    assert kubeflow_cron(given) == fields


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "give five fields"),
        ("3 * * *", "give five fields"),
        ("@daily", "give five fields"),
        ("0 0 3 * * * 2026", "give five fields"),
        ("60 3 * * *", "minute '60': give *, a number 0-59"),
        ("0 24 * * *", "hour '24': give *, a number 0-23"),
        ("0 3 0 * *", "day of the month '0': give *, a number 1-31"),
        ("0 3 * 13 *", "month '13': give *, a number 1-12 or jan-dec"),
        ("0 3 * * 7", "day of the week '7': give *, a number 0-6 or sun-sat"),
        ("0 3 * * 5-1", "day of the week '5-1'"),
        ("0 3 * * mon-", "day of the week 'mon-'"),
        ("*/0 3 * * *", "minute '*/0'"),
        ("0 3,, * * *", "hour ''"),
        ("0 3am * * *", "hour '3am'"),
        ("0 3 31 4,6 *", "never comes: no such month has a day 31"),
    ],
)
def test_a_cron_expression_that_means_nothing_is_refused(given: str, said: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(said)):
        kubeflow_cron(given)


@pytest.mark.slow
def test_a_recipe_is_compiled_on_the_way(server) -> None:
    parameters = [word for key in ("data", "root", "metadata") for word in ("--param", f"{key}=/data/{key}")]
    arguments = [
        "--host",
        server.url,
        "--recipe",
        "quickstart",
        "--image",
        "fashion:1",
        "--pvc",
        "fashion",
        *parameters,
    ]
    for changed in ((), (), ("--set", "gate.recall=0.9")):
        result = CliRunner().invoke(submit, [*arguments, *changed])
        assert result.exit_code == 0, result.output
    assert [pipeline["display_name"] for pipeline in server.pipelines.values()] == ["quickstart"]
    assert (len(server.versions), len(server.runs)) == (2, 3)
