"""The package for Kubeflow Pipelines: what it says to the cluster, and what is refused before it is written."""

import base64
import os
import random
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from components.errors import RecipeError
from pipeline.commands.kubeflow import compile_
from pipeline.kubeflow import compiler
from pipeline.kubeflow.compiler import check_image, compile_package
from pipeline.kubeflow.packing import pack, unpack
from pipeline.kubeflow.target import Cluster
from pipeline.recipe import load_recipe
from pipeline.stages import STAGES
from tests import HOUSE
from tests.kubeflow.kfp_server import MOST_PARAMETERS

IMAGE = "registry.example.com/shop/fashion:1.4"
CLUSTER = Cluster(
    pvc="fashion",
    metadata_secret="fashion-metadata",
    pull_policy="IfNotPresent",
    pull_secrets=("registry", "mirror"),
    env=("HTTPS_PROXY=http://proxy:3128", "EMPTY="),
    env_secrets=("AWS_SECRET_ACCESS_KEY=s3/secret",),
    data="/data/catalogue",
    root="/data/runs",
    metadata="mysql://fashion@mysql/fashion",
)
GPU = (
    "kubeflow.nodes.train={cpu: 8, memory: 32Gi, accelerator: {type: nvidia.com/gpu, count: 2}, "
    "node_selector: {pool: gpu}, tolerations: [{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}]}"
)
TPU = (
    "kubeflow.nodes.train={accelerator: {type: google.com/tpu, count: 4}, node_selector: "
    "{cloud.google.com/gke-tpu-accelerator: tpu-v5-lite-podslice, cloud.google.com/gke-tpu-topology: 2x2}}"
)


@dataclass(frozen=True)
class Package:
    """A package as Kubeflow reads it."""

    text: str
    spec: dict[str, Any] = field(init=False)
    platform: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        spec, platform = yaml.safe_load_all(self.text)
        object.__setattr__(self, "spec", spec)
        object.__setattr__(self, "platform", platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"])

    @property
    def tasks(self) -> dict[str, Any]:
        return self.spec["components"]["comp-exit-handler-1"]["dag"]["tasks"]

    @property
    def outer(self) -> dict[str, Any]:
        return self.spec["root"]["dag"]["tasks"]

    @property
    def parameters(self) -> dict[str, Any]:
        return self.spec["root"]["inputDefinitions"]["parameters"]

    def container(self, task: str) -> dict[str, Any]:
        return self.spec["deploymentSpec"]["executors"][f"exec-{task}"]["container"]

    def kubernetes(self, task: str) -> dict[str, Any]:
        return self.platform[f"exec-{task}"]


def a_node(name: str, *before: SimpleNamespace, makes: str = "Examples") -> SimpleNamespace:
    return SimpleNamespace(id=name, upstream_nodes=before, outputs={"made": SimpleNamespace(type_name=makes)})


def small_graph() -> dict[str, SimpleNamespace]:
    """A graph that is quicker to make than the real one, with a component that the real one does not have."""
    ingest = a_node("ingest")
    gate = a_node("gate", ingest, makes="DataVerdict")
    colours = a_node("colour_report", ingest)
    train = a_node("train", ingest, gate, makes="Model")
    publish = a_node("publish", train, makes="PushedModel")
    return {node.id: node for node in (ingest, gate, colours, train, publish)}


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "read_graph", lambda recipe: small_graph())


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """Of the recipe as it is. To compile takes a second: KFP looks through all modules at every setting of a task."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiler, "read_graph", lambda recipe: small_graph())
        return compiled(tmp_path_factory.mktemp("package"))


def compiled(folder: Path, *overrides: str, cluster: Cluster = CLUSTER) -> Package:
    out = folder / "fashion.yaml"
    compile_package(load_recipe("six_class", overrides), IMAGE, out, cluster)
    return Package(out.read_text())


def test_every_node_is_a_task_after_those_it_depends_on(package: Package) -> None:
    edges = {name.replace("-", "_"): set(task.get("dependentTasks", ())) for name, task in package.tasks.items()}
    assert edges == {
        "ingest": set(),
        "gate": {"ingest"},
        "colour_report": {"ingest"},
        "train": {"ingest", "gate"},
        "publish": {"train"},
    }
    assert package.container("colour-report")["command"] == [
        *("fashion", "node", "--node", "colour_report", "--show-log", "--retries", "2")
    ]
    assert {package.container(task)["image"] for task in [*package.tasks, "verdict"]} == {IMAGE}


def test_all_tasks_of_a_run_share_its_id_and_parameters(package: Package) -> None:
    for task in [*package.tasks.values(), package.outer["verdict"]]:
        given = task["inputs"]["parameters"]
        # Kubeflow fills this in where it is the whole of a parameter, and only there.
        assert given["run_id"]["runtimeValue"]["constant"] == "{{$.pipeline_job_uuid}}"
        assert set(given) == {"run_id", "recipe", "data", "root", "metadata"}
    arguments = package.container("train")["args"]
    assert dict(zip(arguments[::2], arguments[1::2], strict=True)) == {
        f"--{name.replace('_', '-')}": f"{{{{$.inputs.parameters['{name}']}}}}"
        for name in ("run_id", "recipe", "data", "root", "metadata")
    }


def test_the_recipe_travels_in_the_package(tmp_path: Path, graph) -> None:
    text = compiled(tmp_path, "gate.recall=0.5").parameters["recipe"]["defaultValue"]
    assert unpack(text, tmp_path / "kept").gate == load_recipe("six_class", ["gate.recall=0.5"]).gate


def with_schema(folder: Path, text: str) -> str:
    (folder / "own.pbtxt").write_text(text)
    return f"validation.schema_file={folder / 'own.pbtxt'}"


def test_a_recipe_that_is_too_long_for_kubeflow_travels_compressed(tmp_path: Path) -> None:
    text = "\n".join(f'feature {{ name: "column_{number}" type: BYTES }}' for number in range(400))
    sent = pack(load_recipe("six_class", [with_schema(tmp_path, text)]))
    assert len(text) > MOST_PARAMETERS > len(sent)
    assert Path(unpack(sent, tmp_path / "kept").validation.schema_file).read_text() == text


@pytest.mark.parametrize("text", ["zlib:", "zlib:!", "zlib:" + base64.b64encode(b"no zlib").decode(), "{"])
def test_what_is_no_recipe_from_a_package_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(RecipeError, match=r"is not a recipe from a package\. Compile the package again"):
        unpack(text, tmp_path)


def test_what_kubeflow_would_not_take_is_refused(tmp_path: Path, graph) -> None:
    with pytest.raises(RecipeError, match="Shorten the largest part, schema, which has 4"):
        compiled(tmp_path, with_schema(tmp_path, random.Random(0).randbytes(20_000).hex()))
    with pytest.raises(RecipeError, match=r"name: a{40}… has 115 characters"):
        compiled(tmp_path, f"name={'a' * 115}")


def test_what_has_no_default_is_asked_for_when_it_is_submitted(tmp_path: Path, graph) -> None:
    parameters = compiled(tmp_path, cluster=Cluster(pvc="fashion", root="/data/runs")).parameters
    assert {name for name, each in parameters.items() if "defaultValue" not in each} == {"data", "metadata"}
    assert parameters["root"]["defaultValue"] == "/data/runs"


def test_kubeflows_cache_is_off(package: Package) -> None:
    for task in [*package.tasks.values(), package.outer["verdict"]]:
        assert not task["cachingOptions"].get("enableCache", False)


def test_failed_tasks_are_tried_again_with_growing_pauses_but_decisions_are_not(package: Package) -> None:
    retried = {name: task.get("retryPolicy", {}).get("maxRetryCount", 0) for name, task in package.tasks.items()}
    assert retried == {"ingest": 2, "colour-report": 2, "train": 2, "gate": 0, "publish": 0}
    assert package.tasks["train"]["retryPolicy"]["backoffDuration"] == "60s"
    assert package.tasks["train"]["retryPolicy"]["backoffFactor"] == 2
    assert "retryPolicy" not in package.outer["verdict"]


def test_retries_follow_the_recipe(tmp_path: Path, graph) -> None:
    package = compiled(
        tmp_path, "kubeflow.default.retries=0", "kubeflow.nodes={train: {retries: 5}, publish: {retries: 1}}"
    )
    assert {name for name, task in package.tasks.items() if "retryPolicy" in task} == {"train", "publish"}
    assert package.tasks["train"]["retryPolicy"]["maxRetryCount"] == 5
    assert package.container("train")["command"][-2:] == ["--retries", "5"]
    assert package.container("ingest")["command"] == ["fashion", "node", "--node", "ingest", "--show-log"]


def test_the_verdict_gets_what_the_recipe_asks_for_it(tmp_path: Path, graph) -> None:
    package = compiled(tmp_path, "kubeflow.nodes.verdict={cpu: 500m, memory: 2G, retries: 1, node_selector: {pool: a}}")
    assert package.container("verdict")["resources"]["resourceMemoryLimit"] == "2G"
    assert package.container("verdict")["resources"]["resourceCpuLimit"] == "500m"
    assert package.kubernetes("verdict")["nodeSelector"]["labels"] == {"pool": "a"}
    assert package.outer["verdict"]["retryPolicy"]["maxRetryCount"] == 1
    assert package.container("ingest")["resources"]["resourceMemoryLimit"] == "8G"


def test_the_verdict_comes_last_whatever_fails(package: Package) -> None:
    assert package.outer["verdict"]["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    assert package.outer["verdict"]["dependentTasks"] == ["exit-handler-1"]
    assert package.container("verdict")["command"] == ["fashion", "verdict"]


def test_only_the_node_that_asks_for_it_gets_the_accelerator(tmp_path: Path, graph) -> None:
    package = compiled(tmp_path, GPU)
    resources = {task: package.container(task)["resources"] for task in [*package.tasks, "verdict"]}
    assert {task for task, each in resources.items() if "accelerator" in each} == {"train"}
    assert resources["train"]["accelerator"]["resourceType"] == "nvidia.com/gpu"
    assert resources["train"]["accelerator"]["resourceCount"] == "2"
    for task, cpu, memory in (("train", "8", "32Gi"), ("ingest", "2", "8G")):
        given = resources[task]
        assert (given["resourceCpuRequest"], given["resourceCpuLimit"]) == (cpu, cpu)
        assert (given["resourceMemoryRequest"], given["resourceMemoryLimit"]) == (memory, memory)
    assert package.kubernetes("train")["nodeSelector"]["labels"] == {"pool": "gpu"}
    assert package.kubernetes("train")["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]
    assert not {"nodeSelector", "tolerations"} & set(package.kubernetes("ingest"))


def test_a_tpu_is_asked_for_by_resource_and_labels(tmp_path: Path, graph) -> None:
    package = compiled(tmp_path, TPU)
    accelerator = package.container("train")["resources"]["accelerator"]
    assert (accelerator["resourceType"], accelerator["resourceCount"]) == ("google.com/tpu", "4")
    assert package.kubernetes("train")["nodeSelector"]["labels"] == {
        "cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice",
        "cloud.google.com/gke-tpu-topology": "2x2",
    }


def test_every_task_has_what_the_cluster_holds_for_it(package: Package) -> None:
    for task in [*package.tasks, "verdict"]:
        given = package.kubernetes(task)
        [volume], secrets = given["pvcMount"], given["secretAsEnv"]
        assert (volume["constant"], volume["mountPath"]) == ("fashion", "/data")
        assert {secret["secretName"]: secret["keyToEnv"] for secret in secrets} == {
            "fashion-metadata": [{"envVar": "FASHION_METADATA_PASSWORD", "secretKey": "password"}],
            "s3": [{"envVar": "AWS_SECRET_ACCESS_KEY", "secretKey": "secret"}],
        }
        assert given["imagePullPolicy"] == "IfNotPresent"
        assert [secret["secretName"] for secret in given["imagePullSecret"]] == ["registry", "mirror"]
        variables = {each["name"]: each.get("value", "") for each in package.container(task)["env"]}
        assert variables == {"HTTPS_PROXY": "http://proxy:3128", "EMPTY": ""}


def test_a_package_loads_in_kfp_and_is_a_pipeline_spec(tmp_path: Path, graph) -> None:
    from google.protobuf import json_format
    from kfp import components
    from kfp.pipeline_spec import pipeline_spec_pb2

    package = compiled(tmp_path, GPU)
    loaded = components.load_component_from_file(str(tmp_path / "fashion.yaml"))
    assert loaded.name == "six-class"
    spec = json_format.ParseDict(package.spec, pipeline_spec_pb2.PipelineSpec())
    assert spec.schema_version == "2.1.0"


@pytest.mark.slow
def test_a_package_changes_with_the_recipe_and_only_then(package: Package, tmp_path: Path, graph) -> None:
    first, again, other = package, compiled(tmp_path), compiled(tmp_path, "gate.recall=0.5")
    assert first.text == again.text
    assert first.text != other.text


@pytest.mark.parametrize(
    "image", ["fashion", "fashion:1.4", "localhost:5000/a/b_c:x", "ghcr.io/shop/fashion@sha256:" + "0" * 64, IMAGE]
)
def test_a_name_of_an_image_is_taken(image: str) -> None:
    check_image(image)


@pytest.mark.parametrize("image", ["", "Fashion", "a b", "fashion:", "https://x/fashion", "fashion@sha256:1", "-x"])
def test_what_names_no_image_is_refused(image: str) -> None:
    with pytest.raises(RecipeError, match="this names no image; give "):
        check_image(image)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("kubeflow.nodes.train.memory=2Gb", "kubeflow.nodes.train.memory: '2Gb' is not an amount of memory"),
        ("kubeflow.default.memory=-1", "'-1' is not an amount of memory; write it as Kubernetes does, e.g. 8G"),
        ("kubeflow.default.cpu=two", "'two' is not an amount of CPU; write it as Kubernetes does, e.g. 2, 0.5 or 500m"),
        ("kubeflow.default.cpu=0", "'0' is not an amount of CPU"),
        ("kubeflow.default.cpu=true", "kubeflow.default.cpu: True should be a valid string"),
        ("kubeflow.default.accelerator={type: nvidia.com/gpu}", "kubeflow.default.accelerator: unknown key"),
        ("kubeflow.nodes.train.acelerator=1", "kubeflow.nodes.train.acelerator: unknown key; did you mean 'accel"),
        ("kubeflow.nodes.train.accelerator={type: gpu}", "kubeflow.nodes.train.accelerator.type: 'gpu'"),
        ("kubeflow.nodes.train.accelerator={type: a.b/gpu, count: 0}", "greater than or equal to 1"),
        ("kubeflow.nodes.train.retries=-1", "kubeflow.nodes.train.retries: -1"),
        ("kubeflow.nodes.train.tolerations=[{effect: Never}]", "kubeflow.nodes.train.tolerations[0].effect"),
        ("kubeflow.node={}", "kubeflow.node: unknown key; did you mean 'nodes'?"),
    ],
)
def test_what_kubernetes_would_not_take_is_refused_with_the_recipe(override: str, said: str) -> None:
    with pytest.raises(RecipeError) as refused:
        load_recipe("six_class", [override])
    assert said in str(refused.value)


def test_a_node_that_the_graph_does_not_have_is_refused(tmp_path: Path, graph) -> None:
    with pytest.raises(RecipeError) as refused:
        compiled(tmp_path, "kubeflow.nodes.trian.cpu=4")
    assert "kubeflow.nodes.trian: there is no such stage; did you mean 'train'?" in str(refused.value)
    assert not (tmp_path / "fashion.yaml").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--image Fashion", "--image 'Fashion': this names no image"),
        ("--pvc My_Claim", "--pvc 'My_Claim': Kubernetes names have lower-case letters"),
        ("--metadata-secret a/b", "--metadata-secret 'a/b': Kubernetes names"),
        ("--pull-secret A", "--pull-secret 'A': Kubernetes names"),
        ("--env-secret TOKEN=a_b/key", "--env-secret 'a_b': Kubernetes names"),
        ("--env-secret TOKEN=secret", "--env-secret TOKEN=secret: give it as NAME=SECRET/KEY"),
        ("--env 1=a", "--env 1=a: begin with a variable's name and ="),
        (
            "--env HF_TOKEN=secret@1",
            "--env HF_TOKEN: its value would stand in the package for all to read; put it into",
        ),
        ("--env FASHION_METADATA_PASSWORD=secret@1", "name the database's secret with --metadata-secret"),
        ("--mount data", "--mount data: give the absolute path of a folder"),
        ("--root runs", "--root runs: give the absolute path"),
        ("--data gs://shop", "--data gs://shop: give the absolute path"),
        ("--metadata mysql://fashion:secret@db/shop", "--metadata: the password would stand in the package"),
        ("--metadata db", "'db' is not a known kind of database"),
        ("--out fashion.json", "--out fashion.json: Kubeflow takes packages by their suffix; end it in .yaml"),
        ("--out none/fashion.yaml", "--out none/fashion.yaml: there is no folder none; make it first"),
        ("--recipe six_clas", "recipe 'six_clas': there is none; did you mean 'six_class'?"),
        ("--set labels.taxonomy=none.yaml", "taxonomy none.yaml: there is no such file"),
        ("--target vertex", "--data None: Vertex AI mounts buckets at /gcs/; give /gcs/BUCKET/FOLDER"),
        ("--target vertex --data /gcs/a/b --root /runs", "--root /runs: Vertex AI mounts buckets at /gcs/"),
    ],
)
def test_a_mistake_is_told_in_one_line_before_anything_is_compiled(tmp_path, monkeypatch, options: str, said) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["--recipe", "six_class", "--image", IMAGE, "--out", "fashion.yaml", *options.split()]
    shown = CliRunner().invoke(compile_, given)
    assert shown.exit_code in (2, 8), shown.output
    assert shown.output.startswith("fashion: ")
    assert shown.output.count("\n") == 1
    assert said in shown.output
    assert "secret@" not in shown.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", ["--recipe", "--image", "--out"])
def test_an_option_that_is_needed_is_asked_for(missing: str) -> None:
    options = {"--recipe": "six_class", "--image": IMAGE, "--out": "fashion.yaml"}
    given = [word for option, value in options.items() if option != missing for word in (option, value)]
    shown = CliRunner().invoke(compile_, given)
    assert shown.exit_code == 2
    assert f"Missing option '{missing}'" in shown.output


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The package of the real graph."""
    folder = tmp_path_factory.mktemp("real")
    return compiled(folder, GPU)


@pytest.mark.slow
def test_the_package_of_the_real_graph_has_its_stages_and_their_order(real: Package) -> None:
    assert set(real.tasks) == set(STAGES)
    for name, task in real.tasks.items():
        assert all(STAGES.index(before) < STAGES.index(name) for before in task.get("dependentTasks", ()))
    assert real.tasks["transform"]["dependentTasks"] == ["gate", "ingest", "schema"]
    assert "retryPolicy" not in real.tasks["gate"]
    assert "retryPolicy" not in real.tasks["publish"]
    assert real.tasks["train"]["retryPolicy"]["maxRetryCount"] == 2


@pytest.mark.slow
def test_another_process_writes_the_same_package_byte_for_byte(tmp_path: Path, real: Package) -> None:
    options = {"recipe": "six_class", "image": IMAGE, "out": "fashion.yaml", "set": GPU, "pvc": CLUSTER.pvc,
               "metadata-secret": CLUSTER.metadata_secret, "pull-policy": CLUSTER.pull_policy,
               "data": CLUSTER.data, "root": CLUSTER.root, "metadata": CLUSTER.metadata}  # fmt: skip
    given = [word for option, value in options.items() for word in (f"--{option}", str(value))]
    repeated = {"pull-secret": CLUSTER.pull_secrets, "env": CLUSTER.env, "env-secret": CLUSTER.env_secrets}
    given += [word for option, values in repeated.items() for value in values for word in (f"--{option}", value)]
    environment = {**os.environ, "PYTHONPATH": str(HOUSE), "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", "from pipeline.commands.kubeflow import compile_; compile_()", *given]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert (tmp_path / "fashion.yaml").read_text() == real.text


@pytest.mark.slow
def test_vertex_gets_a_package_and_its_user_what_it_leaves_out(tmp_path: Path) -> None:
    out = tmp_path / "vertex.yaml"
    given = ["--target", "vertex", "--recipe", "six_class", "--image", IMAGE, "--out", str(out),
             "--data", "/gcs/shop/catalogue", "--root", "/gcs/shop/runs"]  # fmt: skip
    shown = CliRunner().invoke(compile_, given, catch_exceptions=False)
    assert shown.exit_code == 0
    for word in ("baseline", "refused", "metadata", "kubeflow", "gs://"):
        assert re.search(rf"^left out: .*{word}", shown.output, re.MULTILINE), word
    spec = yaml.safe_load(out.read_text())
    tasks = set(spec["root"]["dag"]["tasks"])
    assert tasks - {"baseline-model-resolver", "baseline-model-blessing-resolver"} >= set(STAGES) - {"baseline"}
    assert spec["pipelineInfo"]["name"].startswith("six-class-")
