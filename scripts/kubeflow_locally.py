"""Runs a package for Kubeflow on this machine, one container per task, through Kubeflow's own local runner.

That runner reads the package, orders its tasks and starts their containers. What it leaves out is added here: exit
codes, which kfp 2.16 loses when it removes a container; retries, without their pauses; and the task of an exit handler
after a failure.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
from kfp import components, local
from kfp.local import docker_task_handler, io
from kfp.local.orchestrator import dag_orchestrator
from kfp.local.orchestrator.orchestrator_utils import OrchestratorUtils
from kfp.local.status import Status
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec, PipelineTaskSpec

_WHATEVER_CAME = PipelineTaskSpec.TriggerPolicy.ALL_UPSTREAM_TASKS_COMPLETED


@dataclass(frozen=True)
class Try:
    """One container: the task it ran, its exit code, how long it took, in seconds, and what it said."""

    task: str
    exit_code: int
    seconds: float
    said: str


@dataclass(frozen=True)
class Kill:
    """Kills the first container of a task as soon as something is there."""

    task: str
    when: Callable[[], bool]


@dataclass
class Run:
    """One run of a package.

    Attributes:
        retries: how often each task is tried again.
        report: called with each container that has ended.
        kill: None leaves all containers alone.
        tries: containers, in the order in which they ended.
        succeeded: whether every task did, in the end.
    """

    retries: Mapping[str, int]
    report: Callable[[Try], None]
    kill: Kill | None = None
    tries: list[Try] = field(default_factory=list)
    succeeded: bool = False

    def exit_codes(self, task: str) -> list[int]:
        """Of each container of a task."""
        return [each.exit_code for each in self.tries if each.task == task]

    def run_task(self, client: docker.DockerClient, image: str, command: list[str], **arguments: Any) -> int:
        """Runs a task's container until it succeeds or may not be tried again; returns the last exit code."""
        task = command[command.index("--node") + 1] if "--node" in command else command[1]
        for attempt in range(1 + self.retries.get(task, 0)):
            began = time.monotonic()
            # As on Kubernetes, a task's command takes the place of the image's entry point.
            container = client.containers.create(image, command[1:], entrypoint=command[:1], **arguments)
            try:
                container.start()
                if self.kill and self.kill.task == task and attempt == 0:
                    threading.Thread(target=_kill, args=(container, self.kill.when), daemon=True).start()
                code = _wait(container)
                said = container.logs().decode(errors="replace")
            finally:
                container.remove(force=True)
            self.tries.append(Try(task, code, time.monotonic() - began, said))
            self.report(self.tries[-1])
            if code == 0:
                break
        return code


def run_package(
    package: Path,
    arguments: Mapping[str, str],
    runner: local.DockerRunner,
    log: Path,
    report: Callable[[Try], None],
    kill: Kill | None = None,
) -> Run:
    """Runs a compiled package to its end.

    Args:
        package: what `fashion compile` wrote.
        arguments: the package's parameters.
        runner: how containers are started; the engine is that of DOCKER_HOST.
        log: where kfp is heard; its folder, which containers see, is kfp's pipeline root.
        report: called with each container that has ended.
        kill: a container not to be left alone.
    """
    pipeline = components.load_component_from_file(str(package))
    run = Run(_retries(pipeline.pipeline_spec), report, kill)
    local.init(runner, pipeline_root=str(log.parent), raise_on_error=False)
    docker_task_handler.run_docker_container = run.run_task
    failures: list[Status] = []
    run_dag = dag_orchestrator.run_dag
    dag_orchestrator.run_dag = _noting(failures, _with_exit_tasks(run_dag))
    try:
        with log.open("a") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
            pipeline(**arguments)
    finally:
        dag_orchestrator.run_dag = run_dag
    run.succeeded = not failures
    return run


def _retries(spec: PipelineSpec) -> dict[str, int]:
    """How often each task of a package is tried again, wherever in it the task stands."""
    dags = [spec.root.dag, *(component.dag for component in spec.components.values())]
    return {name: task.retry_policy.max_retry_count for dag in dags for name, task in dag.tasks.items()}


def _noting(failures: list[Status], run_dag: Callable[..., tuple[Any, Status]]) -> Callable[..., tuple[Any, Status]]:
    def run(**context: Any) -> tuple[Any, Status]:
        outputs, status = run_dag(**context)
        if status == Status.FAILURE:
            failures.append(status)
        return outputs, status

    return run


def _with_exit_tasks(run_dag: Callable[..., tuple[Any, Status]]) -> Callable[..., tuple[Any, Status]]:
    """kfp.local stops at the first failure; on a cluster, tasks that only wait for others to end still run."""

    def run(*, dag_component_spec: Any, dag_arguments: Any, **context: Any) -> tuple[Any, Status]:
        outputs, status = run_dag(dag_component_spec=dag_component_spec, dag_arguments=dag_arguments, **context)
        if status == Status.FAILURE:
            inputs = io.IOStore()
            given = OrchestratorUtils.join_user_inputs_and_defaults(dag_arguments, dag_component_spec.input_definitions)
            for key, value in given.items():
                inputs.put_parent_input(key, value)
            for name, task in dag_component_spec.dag.tasks.items():
                if task.trigger_policy.strategy == _WHATEVER_CAME:
                    OrchestratorUtils.execute_single_task(task_name=name, task_spec=task, io_store=inputs, **context)
        return outputs, status

    return run


def _wait(container: Any) -> int:
    """Waits for a container's end; returns its exit code. Podman's own waiting keeps a whole core busy."""
    container.reload()
    while container.status in ("created", "running"):
        time.sleep(0.5)
        container.reload()
    return int(container.attrs["State"]["ExitCode"])


def _kill(container: Any, when: Callable[[], bool]) -> None:
    while not when():
        time.sleep(0.2)
    with contextlib.suppress(docker.errors.APIError):  # it has ended by itself
        container.kill()
