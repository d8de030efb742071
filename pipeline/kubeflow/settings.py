"""What the tasks of a package ask of a cluster."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from components.settings import Count, Settings


def _plain_text(value: Any) -> Any:
    """YAML reads `cpu: 2` as a number, and Kubernetes takes either."""
    return str(value) if type(value) in (int, float) else value


def _cpu(text: str) -> str:
    if not re.fullmatch(r"\d+(\.\d+)?|\d+m", text) or not text.strip("0.m"):
        raise ValueError(f"{text!r} is not an amount of CPU; write it as Kubernetes does, e.g. 2, 0.5 or 500m")
    return text


def _memory(text: str) -> str:
    if not re.fullmatch(r"[1-9]\d*([EPTGM]i?|Ki?)?", text):
        raise ValueError(f"{text!r} is not an amount of memory; write it as Kubernetes does, e.g. 8G, 16Gi or 512Mi")
    return text


Cpu = Annotated[str, BeforeValidator(_plain_text), AfterValidator(_cpu)]


Memory = Annotated[str, BeforeValidator(_plain_text), AfterValidator(_memory)]


class Accelerator(Settings):
    """A device of the cluster's, by the name of its Kubernetes resource."""

    type: Annotated[str, Field(pattern=r"^[a-z0-9.-]+/[a-z0-9.-]+$", description="nvidia.com/gpu, google.com/tpu …")]
    count: Count = Field(default=1, description="of such devices")


class Toleration(Settings):
    """A taint that a node's task may be scheduled in spite of; the fields are those of Kubernetes."""

    key: str | None = Field(default=None, description="of the taint; none is any")
    operator: Literal["Equal", "Exists"] = Field(default="Equal", description="whether value is compared")
    value: str | None = Field(default=None, description="of the taint")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="of the taint; none is any"
    )


class Resources(Settings):
    """What the task of a node asks of a cluster; what nobody says is left to the cluster."""

    cpu: Cpu | None = Field(default=None, description="request and limit")
    memory: Memory | None = Field(default=None, description="request and limit")
    node_selector: dict[str, str] | None = Field(default=None, description="labels of the machines it may run on")
    tolerations: Annotated[
        tuple[Toleration, ...] | None, Field(strict=False, description="taints that it may be scheduled in spite of")
    ] = None
    retries: Annotated[int | None, Field(ge=0, description="how often a failed task is tried again")] = None


class NodeResources(Resources):
    """What one node asks for in place of the default, or beyond it."""

    accelerator: Accelerator | None = Field(default=None, description="device of its machine")


class Kubeflow(Settings):
    """What the tasks of a run ask of a cluster. Changes no result, and is used by `fashion compile` alone."""

    default: Resources = Resources(cpu="2", memory="8G", retries=2)
    nodes: dict[str, NodeResources] = Field(default={}, description="by the name of a stage, e.g. train")

    def resources_of(self, node: str) -> NodeResources:
        """Returns what a node asks for: its own settings, and the default's where it has none."""
        given = {name: value for name, value in self.nodes.get(node, NodeResources()) if value is not None}
        return NodeResources.model_construct(**{**dict(self.default), **given})
