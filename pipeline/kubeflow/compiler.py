"""The same graph as a package for Kubeflow Pipelines: one task for each node, which `fashion node` runs.

TFX keeps its own cache and lineage in the metadata database that all tasks share, so nothing but parameters passes
between tasks, and a component added to the graph needs no change here. Runs on plain open-source Kubeflow Pipelines.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from components.errors import RecipeError
from components.reading import choices
from pipeline.experiment import unread_experiment
from pipeline.kubeflow.packing import pack
from pipeline.kubeflow.settings import Kubeflow, NodeResources
from pipeline.metadata import PASSWORD_VARIABLE, parse_url
from pipeline.paths import Paths
from pipeline.recipe import Recipe
from pipeline.view import quiet

if TYPE_CHECKING:
    from kfp import dsl
    from tfx.dsl.components.base.base_node import BaseNode

_IMAGE = re.compile(
    r"(?:(?:[a-zA-Z0-9-]+\.)*[a-zA-Z0-9-]+(?::\d+)?/)?"  # registry
    r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
_KUBERNETES_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")

# What only these types of artifacts come from is a decision. A refusal ends its task as a failure would, and trying
# again would only repeat it.
_DECISIONS = {"DataVerdict", "PushedModel"}

_EXIT = "verdict"  # the task that always comes last; its settings stand with those of the nodes
_BACKOFF = {"backoff_duration": "60s", "backoff_factor": 2.0, "backoff_max_duration": "900s"}


@dataclass(frozen=True)
class Cluster:
    """What a package says of the cluster that it is for."""

    pvc: str | None = None  # name of the volume claim that holds catalogue, artifacts and models; every task mounts it
    mount: str = "/data"  # where
    metadata_secret: str | None = None  # name of the secret whose key `password` is that of the metadata database
    pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None  # when the image is pulled
    # Default of the parameter `data`, the catalogue; None leaves it to who submits. Likewise `root`, the folder that
    # everything is written below, and `metadata`, the database's URL without a password.
    data: str | None = None
    root: str | None = None
    metadata: str | None = None


def compile_package(recipe: Recipe, image: str, out: Path, cluster: Cluster | None = None) -> None:
    """Writes a package that holds the recipe, byte for byte the same for the same arguments.

    Raises:
        RecipeError: what is asked for cannot be.
    """
    cluster = cluster or Cluster()
    check_image(image)
    _check(cluster, out)
    recipe = recipe.with_image(image)
    packed = pack(recipe)
    with quiet(Path(os.devnull)):  # TensorFlow has much to say at its import
        nodes = read_graph(recipe)
    known = (*nodes, _EXIT)
    if unknown := [name for name in recipe.kubeflow.nodes if name not in known]:
        raise RecipeError(f"kubeflow.nodes.{unknown[0]}: there is no such stage; {choices(unknown[0], known)}")
    from kfp import compiler

    given = {"data": cluster.data, "root": cluster.root, "metadata": cluster.metadata, "recipe": packed}
    compiler.Compiler().compile(
        pipeline_func=_pipeline(recipe.name, image, recipe.kubeflow, cluster, nodes),
        package_path=str(out),
        pipeline_parameters={key: value for key, value in given.items() if value is not None},
    )


def read_graph(recipe: Recipe) -> "Mapping[str, BaseNode]":
    """The nodes of the graph by their ids, each after those it depends on. No catalogue is looked at."""
    from pipeline.graph import create_pipeline

    nowhere = Paths(Path("/data"), Path("/root"))
    return {node.id: node for node in create_pipeline(unread_experiment(recipe, nowhere)).components}


def check_image(image: str) -> None:
    """Raises RecipeError where a text cannot name a container image."""
    if not _IMAGE.fullmatch(image):
        raise RecipeError(
            f"--image {image!r}: this names no image; give [registry/]name[:tag], e.g. registry.example.com/fashion:1.4"
        )


def _check(cluster: Cluster, out: Path) -> None:
    for option, name in (("--pvc", cluster.pvc), ("--metadata-secret", cluster.metadata_secret)):
        if name is not None and not _KUBERNETES_NAME.fullmatch(name):
            raise RecipeError(f"{option} {name!r}: Kubernetes names have lower-case letters, digits, dots and dashes")
    for option, path in (("--mount", cluster.mount), ("--data", cluster.data), ("--root", cluster.root)):
        if path is not None and not path.startswith("/"):
            raise RecipeError(f"{option} {path}: give the absolute path of a folder in the container, e.g. /data/runs")
    if cluster.metadata is not None:
        parse_url(cluster.metadata)
    if cluster.metadata and urlsplit(cluster.metadata).password:
        raise RecipeError(
            "--metadata: the password would stand in the package for all to read; put it into a secret under the key "
            "`password`, and name that with --metadata-secret"
        )
    if out.suffix not in (".yaml", ".yml"):
        raise RecipeError(f"--out {out}: Kubeflow takes packages by their suffix; end it in .yaml")
    if not out.absolute().parent.is_dir():
        raise RecipeError(f"--out {out}: there is no folder {out.parent}; make it first")


def _pipeline(name: str, image: str, kubeflow: Kubeflow, cluster: Cluster, nodes: "Mapping[str, BaseNode]") -> Any:
    from kfp import dsl

    @dsl.pipeline(name=name.replace("_", "-"), description=f"Trains {name}, and publishes it if it is good enough.")
    def fashion(data: str, root: str, metadata: str, recipe: str) -> None:
        def make(name: str, command: str, retries: int) -> "dsl.PipelineTask":
            task = _component(name, image, command)(
                data=data,
                root=root,
                metadata=metadata,
                recipe=recipe,
                run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,  # resolved as a whole argument only, not within a command
            )
            _request(task, kubeflow.resources_of(name))
            _attach(task, cluster)
            if retries:
                task.set_retry(retries, **_BACKOFF)
            return task.set_caching_options(enable_caching=False)

        exit_retries = kubeflow.nodes.get(_EXIT, NodeResources()).retries or 0
        with dsl.ExitHandler(make(_EXIT, "verdict", exit_retries), name="run"):
            tasks: dict[str, dsl.PipelineTask] = {}
            for name, node in nodes.items():
                retries = _retries(kubeflow, node)
                tasks[name] = make(name, f"node --node {name}" + f" --retries {retries}" * bool(retries), retries)
                upstream = sorted(before.id for before in node.upstream_nodes)
                tasks[name].after(*(tasks[before] for before in upstream))

    return fashion


def _component(name: str, image: str, command: str) -> "Callable[..., dsl.PipelineTask]":
    from kfp import dsl

    def component(data: str, root: str, metadata: str, recipe: str, run_id: str) -> dsl.ContainerSpec:
        options = {"run-id": run_id, "recipe": recipe, "data": data, "root": root, "metadata": metadata}
        given = [word for option, value in options.items() for word in (f"--{option}", value)]
        return dsl.ContainerSpec(image=image, command=["fashion", *command.split()], args=given)

    component.__name__ = name  # names the component in the package
    return dsl.container_component(component)


def _retries(kubeflow: Kubeflow, node: "BaseNode") -> int:
    """How often a node's task is tried again; where nobody says, a decision is not."""
    own = kubeflow.nodes.get(node.id)
    if own and own.retries is not None:
        return own.retries
    decides = any(channel.type_name in _DECISIONS for channel in node.outputs.values())
    return 0 if decides else kubeflow.default.retries or 0


def _request(task: "dsl.PipelineTask", resources: NodeResources) -> None:
    """Asks the cluster for what a task needs; requested is what it may use at most, so that it is never evicted."""
    from kfp import kubernetes

    if resources.cpu:
        task.set_cpu_request(resources.cpu).set_cpu_limit(resources.cpu)
    if resources.memory:
        task.set_memory_request(resources.memory).set_memory_limit(resources.memory)
    if resources.accelerator:
        task.set_accelerator_type(resources.accelerator.type).set_accelerator_limit(resources.accelerator.count)
    for label, value in (resources.node_selector or {}).items():
        kubernetes.add_node_selector(task, label, value)
    for toleration in resources.tolerations or ():
        kubernetes.add_toleration(task, **toleration.model_dump())


def _attach(task: "dsl.PipelineTask", cluster: Cluster) -> None:
    """Attaches what the cluster holds for the tasks: the volume and the password."""
    from kfp import kubernetes

    if cluster.pvc:
        kubernetes.mount_pvc(task, cluster.pvc, cluster.mount)
    if cluster.metadata_secret:
        kubernetes.use_secret_as_env(task, cluster.metadata_secret, {"password": PASSWORD_VARIABLE})
    if cluster.pull_policy:
        kubernetes.set_image_pull_policy(task, cluster.pull_policy)
