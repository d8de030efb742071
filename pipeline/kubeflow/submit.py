"""Hands packages to Kubeflow Pipelines, and follows their runs."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import kfp_server_api

from components.errors import ClusterError
from pipeline.kubeflow.cluster import ENDED, Say, Server, equal, pages, patiently, pause
from pipeline.kubeflow.package import Package


def upload(server: Server, package: Package, say: Say) -> Any:
    """Makes the package a version of its pipeline, unless it is one already; returns kfp's V2beta1PipelineVersion."""
    pipelines = pages(
        server.list_pipelines, "pipelines", namespace=server.namespace, filter=equal("display_name", package.name)
    )
    # What all users share is listed too.
    pipeline = next((item for item in pipelines if (item.namespace or None) == server.namespace), None)
    if pipeline is None:
        pipeline = server.pipelines.pipeline_service_create_pipeline(
            pipeline=kfp_server_api.V2beta1Pipeline(display_name=package.name, namespace=server.namespace)
        )
    named = equal("display_name", package.version)
    for version in pages(
        server.list_pipeline_versions, "pipeline_versions", pipeline_id=pipeline.pipeline_id, filter=named
    ):
        return version
    with contextlib.redirect_stdout(io.StringIO()):
        version = server.upload_pipeline_version(
            str(package.path), pipeline_version_name=package.version, pipeline_id=pipeline.pipeline_id
        )
    say(f"uploaded  {package.version}")
    return version


def experiment_id(server: Server, name: str) -> str:
    """Returns the id of an experiment, which is created if there is none."""
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            experiment = server.create_experiment(name, namespace=server.namespace)
        except ValueError:  # kfp's word for several
            raise ClusterError(f"{server.host} has several experiments named {name}: choose with --namespace") from None
    if server.namespace and experiment.namespace and experiment.namespace != server.namespace:
        raise ClusterError(
            f"experiment {name} is in namespace {experiment.namespace}, not in {server.namespace}: name another with "
            "--experiment, or its namespace with --namespace"
        )
    if experiment.storage_state == "ARCHIVED":
        raise ClusterError(f"experiment {name} is archived: restore it, or name another with --experiment")
    return str(experiment.experiment_id)


@dataclass(frozen=True)
class Order:
    """What is to be run: a package, and how.

    Runs are listed under `experiment`. `service_account` is the Kubernetes account that its tasks run as; the server's
    default if None.
    """

    package: Package
    arguments: Mapping[str, Any]
    experiment: str
    service_account: str | None = None


def submit(server: Server, order: Order, run_name: str | None, say: Say) -> str:
    """Starts a run; returns its id."""
    version = upload(server, order.package, say)
    name = run_name or f"{order.package.name} {datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
    experiment = experiment_id(server, order.experiment)
    with contextlib.redirect_stdout(io.StringIO()):
        run = server.run_pipeline(
            experiment, name, params=dict(order.arguments), pipeline_id=version.pipeline_id,
            version_id=version.pipeline_version_id, service_account=order.service_account,
        )  # fmt: skip
    say(f"started   {name}\n          {server.link(f'runs/details/{run.run_id}')}")
    return str(run.run_id)


def follow(server: Server, run_id: str, tasks: Sequence[str], say: Say) -> None:
    """Waits for the end of a run and says what becomes of its tasks.

    Raises:
        ClusterError: it did not succeed, or the server was away for too long.
    """
    states: set[tuple[str, str]] = set()
    while True:
        run = patiently(lambda: server.get_run(run_id))
        details = run.run_details.task_details if run.run_details else None
        known = [task for task in details or () if task.display_name in tasks]
        for task in known:
            if task.state in ("RUNNING", *ENDED) and (task.task_id, task.state) not in states:
                states.add((task.task_id, task.state))
                ended = task.end_time and task.start_time
                took = f"  {(task.end_time - task.start_time).total_seconds():.0f} s" if ended else ""
                say(f"  {task.display_name:<{max(map(len, tasks))}}  {task.state.lower()}{took}")
        if run.state in ENDED:
            break
        pause()
    if run.state != "SUCCEEDED":
        failed = ", ".join(dict.fromkeys(task.display_name for task in known if task.state == "FAILED"))
        reason = f" ({' '.join(run.error.message.split())})" if run.error and run.error.message else ""
        raise ClusterError(
            f"run {run.display_name} {run.state.lower()}{f' in {failed}' if failed else ''}{reason}: the log is at "
            f"{server.link(f'runs/details/{run_id}')}"
        )
    say(f"succeeded {run.display_name}")
