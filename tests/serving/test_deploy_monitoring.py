"""The files for Prometheus, Grafana and Kubernetes: valid, and about what the server really counts."""

import json
import re
import subprocess

import kubernetes_validate
import numpy as np
import pytest
import yaml
from fashion_client.answer_log import AnswerLog

from pipeline.kubeflow.package import read_package
from serving.server.metrics import Metrics
from serving.server.watch import Watch
from tests.serving.test_deploy import DEPLOY, KUBERNETES

FOLDER = DEPLOY / "monitoring"
RULES = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
SCHEDULE = [*yaml.safe_load_all((FOLDER / "schedule.yaml").read_text())]
CRON = yaml.safe_load((FOLDER / "cronjob.yaml").read_text())
EXPRESSIONS = {
    **{rule["alert"]: rule["expr"] for group in RULES for rule in group["rules"]},
    **{
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
    },
}
_SELECTED = re.compile(r"((?::tensorflow:)?[a-z_:]*(?:fashion|serving)[a-z_:]*)(?:\{([^}]*)\})?")


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """Name to label names of each series that a server shows once it has answered, failed, loaded and logged."""
    metrics, log = Metrics(), AnswerLog(tmp_path_factory.mktemp("log"))
    outputs = {
        "label": np.array([b"shoes"], object), "confidence": np.array([0.9], np.float32),
        "error": np.array([b""], object), "decision": np.array([b"accept"], object),
    }  # fmt: skip
    Watch(metrics, log).answered({"model": "six_class", "version": 1}, {}, outputs, 0.0)
    with metrics.request("six_class", "REST"):
        metrics.available.labels("six_class", "1").set(1)
    log.close()
    found: dict[str, set[str]] = {}
    for line in metrics.exposition().decode().splitlines():
        if match := re.match(r"([\w:]+)(?:\{(.*)\})? ", line):
            found.setdefault(match[1], set()).update(re.findall(r'(\w+)="', match[2] or ""))
    return found


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_every_expression_is_about_series_and_labels_that_the_server_shows(name, series):
    selected = _SELECTED.findall(EXPRESSIONS[name])
    assert selected
    for metric, labels in selected:
        assert metric in series
        assert set(re.findall(r'(\w+)(?:=~?|!=)"', labels)) <= series[metric]
    assert EXPRESSIONS[name].count("(") == EXPRESSIONS[name].count(")")


def test_rules_have_the_fields_that_prometheus_knows():
    assert [group["name"] for group in RULES] == ["fashion"]
    for rule in RULES[0]["rules"]:
        assert set(rule) - {"for"} == {"alert", "expr", "labels", "annotations"}
        assert re.fullmatch(r"[a-zA-Z_]\w*", rule["alert"])
        assert re.fullmatch(r"\d+[smhd]", rule.get("for", "1m"))
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_panels_of_the_dashboard_have_places_of_their_own_and_the_source_that_is_chosen():
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]}
    assert len(places) == len(DASHBOARD["panels"])
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD))) == variables
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == {"${source}"}


@pytest.mark.parametrize("version", KUBERNETES)
def test_the_cron_job_is_valid(version):
    assert kubernetes_validate.validate(CRON, version, strict=True) == version


def test_the_cron_job_runs_a_command_that_there_is():
    from pipeline.cli import main

    [container] = CRON["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    command, *arguments = container["args"]
    main.commands[command].make_context(command, arguments)


def test_the_schedule_is_a_package_that_kubeflow_takes():
    from google.protobuf.json_format import ParseDict
    from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig
    from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec

    package = read_package(FOLDER / "schedule.yaml")
    assert (package.name, package.tasks) == ("fashion-watch", ("monitor", "retrain"))
    assert package.arguments(["recipe=six_class", "data=/data/shop"]).keys() == {"recipe", "data"}
    spec, platform = SCHEDULE
    assert ParseDict(spec, PipelineSpec()).root.dag.tasks["retrain"].dependent_tasks == ["monitor"]
    for mount in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        assert ParseDict(mount, KubernetesExecutorConfig()).pvc_mount[0].mount_path == "/data"


@pytest.mark.parametrize(
    ("task", "ends", "ended"),
    [("monitor", 0, 0), ("monitor", 12, 0), ("monitor", 10, 1), ("retrain", 0, 0), ("retrain", 5, 5)],
)
def test_a_task_of_the_schedule_runs_a_command_and_fails_by_more_than_an_alarm(tmp_path, task, ends, ended):
    from pipeline.cli import main

    (tmp_path / "fashion").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@"\nexit {ends}\n')
    (tmp_path / "fashion").chmod(0o755)
    given = {"recipe": "six_class", "data": "/data/my shop", "log": "/data/answers", "root": "/data/runs"}
    container = SCHEDULE[0]["deploymentSpec"]["executors"][f"exec-{task}"]["container"]
    arguments = [given.get(re.findall(r"\['(\w+)'\]", each)[0], "") for each in container["args"]]
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run([*container["command"], *arguments], env=path, capture_output=True, text=True)
    assert done.returncode == ended, done.stderr
    command, *options = done.stdout.splitlines()
    main.commands[command].make_context(command, options)
