"""`fashion submit`: kfp's real client uploads a package once, and runs it, on a strict stand-in for Kubeflow."""

import pytest
from click.testing import CliRunner

from pipeline.commands.schedule import schedule, submit
from pipeline.kubeflow import cluster
from pipeline.kubeflow.package import read_package
from tests.kubeflow.kfp_commands import fashion as fashion
from tests.kubeflow.kfp_commands import next_package as next_package
from tests.kubeflow.kfp_commands import package as package
from tests.kubeflow.kfp_commands import refused, write_package
from tests.kubeflow.kfp_commands import server as server
from tests.kubeflow.kfp_server import Fault


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
        (f"--param data={'x' * 10_000}", "--param: all together are 10,012 characters; Kubeflow takes 10,000"),
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
        (
            submit,
            "--package a --set gate.recall=0.9",
            "--image, --set, --pvc and all else that is said of the cluster go",
        ),
        (submit, "--package a --env A=b", "--image, --set, --pvc and all else that is said of the cluster go with"),
        (submit, f"--package a --experiment {'a' * 129}", "Kubeflow keeps names of up to 128 characters; this has 129"),
        (submit, f"--package a --run-name {'a' * 129}", "Kubeflow keeps names of up to 128 characters; this has 129"),
        (schedule, f"--cron daily --package a --name {'a' * 129}", "Kubeflow keeps names of up to 128 characters"),
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
