"""The same graph as a package for Kubeflow Pipelines: one task for each node, which `fashion node` runs.

TFX keeps its own cache and lineage in the metadata database that all tasks share, so nothing but parameters passes
between tasks, and a component added to the graph needs no change here. Runs on plain open-source Kubeflow Pipelines.
"""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import RecipeError
from components.reading import choices
from pipeline.experiment import unread_experiment
from pipeline.kubeflow.packing import pack
from pipeline.kubeflow.settings import Kubeflow, NodeResources
from pipeline.kubeflow.target import Cluster
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
_NAME = 114  # characters

# What only these types of artifacts come from is a decision. A refusal ends its task as a failure would, and trying
# again would only repeat it.
_DECISIONS = {"DataVerdict", "PushedModel"}

_EXIT = "verdict"  # the task that always comes last; its settings stand with those of the nodes
_BACKOFF = {"backoff_duration": "60s", "backoff_factor": 2.0, "backoff_max_duration": "900s"}


def compile_package(recipe: Recipe, image: str, out: Path, cluster: Cluster | None = None) -> None:
    """Writes a package that holds the recipe, byte for byte the same for the same arguments.

    Raises:
        RecipeError: what is asked for cannot be.
    """
    cluster = cluster or Cluster()
    check_image(image)
    cluster.check()
    if len(recipe.name) > _NAME:
        raise RecipeError(
            f"name: {recipe.name[:40]}… has {len(recipe.name)} characters. Kubeflow names versions with up to 127, "
            f"13 of them for a digest: give one of up to {_NAME}"
        )
    if out.suffix not in (".yaml", ".yml"):
        raise RecipeError(f"--out {out}: Kubeflow takes packages by their suffix; end it in .yaml")
    if not out.absolute().parent.is_dir():
        raise RecipeError(f"--out {out}: there is no folder {out.parent}; make it first")
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
            cluster.attach(task)
            if retries:
                task.set_retry(retries, **_BACKOFF)
            return task.set_caching_options(enable_caching=False)

        exit_retries = kubeflow.nodes.get(_EXIT, NodeResources()).retries or 0
        with dsl.ExitHandler(make(_EXIT, "verdict", exit_retries), name="run"):
            tasks: dict[str, dsl.PipelineTask] = {}
            for name, node in nodes.items():
                retries = _retries(kubeflow, node)
                tasks[name] = make(
                    name, f"node --node {name} --show-log" + f" --retries {retries}" * bool(retries), retries
                )
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
