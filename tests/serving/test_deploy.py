"""The deployment files: what they say is valid, safe, and the same everywhere."""

import http.server
import re
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from tests import HOUSE

DEPLOY = HOUSE / "serving" / "deploy"
KUBERNETES = ("1.33", "1.34", "1.35", "1.36", "1.37")


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


COMPOSE = documents("docker-compose.yaml")[0]["services"]["serving"]
RESOURCES = documents("kustomization.yaml")[0]["resources"]
MANIFESTS = {each["kind"]: each for name in RESOURCES for each in documents(name)}
POD = MANIFESTS["Deployment"]["spec"]["template"]["spec"]
PREDICTOR = documents("kserve/inferenceservice.yaml")[0]["spec"]["predictor"]
BESIDE_THE_POD = ("minReplicas", "maxReplicas", "scaleMetric", "scaleTarget", "labels")
KSERVE_POD = {key: value for key, value in PREDICTOR.items() if key not in BESIDE_THE_POD}
PODS = pytest.mark.parametrize("pod", [POD, KSERVE_POD], ids=["deployment", "kserve"])


def flags(args: list[str]) -> dict[str, str]:
    return dict(argument.removeprefix("--").split("=") for argument in args)


FLAGS = flags(COMPOSE["command"])
MODELS = text_format.Parse((DEPLOY / "models.config").read_text(), ModelServerConfig()).model_config_list.config


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("kind", MANIFESTS)
def test_manifest_is_valid(kind, version):
    assert kubernetes_validate.validate(MANIFESTS[kind], version, strict=True) == version


@pytest.mark.parametrize("version", KUBERNETES)
def test_kserve_pod_is_valid(version):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "predictor"}, "spec": KSERVE_POD}
    assert kubernetes_validate.validate(pod, version, strict=True) == version


def test_every_manifest_is_applied():
    kinds = ["Deployment", "HorizontalPodAutoscaler", "NetworkPolicy", "PersistentVolumeClaim", "PodDisruptionBudget"]
    assert sorted(MANIFESTS) == [*kinds, "Service"]
    assert {f"kubernetes/{path.name}" for path in (DEPLOY / "kubernetes").iterdir()} == set(RESOURCES)


def test_models_config_lets_the_highest_version_serve():
    assert [(each.name, each.base_path, each.model_platform) for each in MODELS] == [
        ("six_class", "/models/six_class", "tensorflow")
    ]
    assert not MODELS[0].HasField("model_version_policy")
    assert not MODELS[0].version_labels


def test_batching_config_is_one_that_the_local_server_takes_too():
    from serving.server.config import read_batching

    batching = read_batching(DEPLOY / "batching.config")
    assert (batching.max_batch_size, batching.max_execution_batch_size) == (256, 32)
    assert batching.num_batch_threads == int(POD["containers"][0]["resources"]["requests"]["cpu"])


def monitoring_config() -> Any:
    """TensorFlow Serving's MonitoringConfig, which its API package leaves out."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="monitoring_config.proto", package="test", syntax="proto3")
    prometheus = file.message_type.add(name="PrometheusConfig").field
    prometheus.add(name="enable", number=1, type=kinds.TYPE_BOOL, label=kinds.LABEL_OPTIONAL)
    prometheus.add(name="path", number=2, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    file.message_type.add(name="MonitoringConfig").field.add(
        name="prometheus_config",
        number=1,
        type=kinds.TYPE_MESSAGE,
        type_name=".test.PrometheusConfig",
        label=kinds.LABEL_OPTIONAL,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("test.MonitoringConfig"))()


def test_prometheus_is_told_where_the_server_shows_its_metrics():
    config = text_format.Parse((DEPLOY / "monitoring.config").read_text(), monitoring_config())
    assert config.prometheus_config.enable
    annotations = MANIFESTS["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/path"] == config.prometheus_config.path
    assert annotations["prometheus.io/port"] == FLAGS["rest_api_port"]
    assert annotations["prometheus.io/scrape"] == "true"


def test_image_is_everywhere_the_one_that_models_are_tried_with():
    """Moving to another is one edit of each of these, and this test finds the one that was forgotten."""
    from components.infra.settings import Serving

    [pinned] = documents("kustomization.yaml")[0]["images"]
    images = [container["image"] for pod in (POD, KSERVE_POD) for container in pod["containers"]]
    images += [f"{pinned['name']}:{pinned['newTag']}", COMPOSE["image"].removeprefix("${SERVING_IMAGE:-").rstrip("}")]
    assert set(images) == {Serving().image}
    assert re.fullmatch(r"tensorflow/serving:\d+\.\d+\.\d+", Serving().image)
    assert f"`{Serving().image}`" in (DEPLOY / "README.md").read_text()


def test_image_that_is_tried_speaks_the_api_that_is_installed():
    from components.infra.settings import Serving

    constraints = (HOUSE / "constraints.txt").read_text()
    assert f"tensorflow-serving-api=={Serving().image.partition(':')[2]}\n" in constraints


def test_server_is_the_same_everywhere():
    for container in [pod["containers"][0] for pod in (POD, KSERVE_POD)]:
        assert container["command"] == COMPOSE["entrypoint"]
        assert container["args"] == COMPOSE["command"]


@PODS
def test_files_the_server_is_given_are_mounted_read_only(pod):
    [container] = pod["containers"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    claim = volumes[mounts["/models"]["name"]]["persistentVolumeClaim"]
    assert claim == {"claimName": MANIFESTS["PersistentVolumeClaim"]["metadata"]["name"], "readOnly": True}
    generated = documents("kustomization.yaml")[0]["configMapGenerator"][0]
    assert volumes[mounts["/config"]["name"]]["configMap"]["name"] == generated["name"]
    assert all(mounts[path]["readOnly"] for path in ("/models", "/config"))
    assert FLAGS["model_config_file"] == "/models/models.config"
    for flag in ("batching_parameters_file", "monitoring_config_file"):
        assert Path(FLAGS[flag]).parent == Path("/config")
        assert Path(FLAGS[flag]).name in generated["files"]
        assert (DEPLOY / Path(FLAGS[flag]).name).is_file()
    assert {Path(each.base_path).parent for each in MODELS} == {Path("/models")}


def test_compose_mounts_the_same_files():
    mounts = dict(volume.removesuffix(":ro").rsplit(":", 1)[::-1] for volume in COMPOSE["volumes"])
    assert all(volume.endswith(":ro") for volume in COMPOSE["volumes"])
    assert mounts["/models"] == "${MODELS:-../../runs/serving}"
    for flag in ("batching_parameters_file", "monitoring_config_file"):
        assert (DEPLOY / mounts[FLAGS[flag]]).is_file()


def test_labels_survive_a_restart_and_changes_are_noticed():
    assert FLAGS["allow_version_labels_for_unavailable_models"] == "true"
    assert int(FLAGS["model_config_file_poll_wait_seconds"]) > 0


@PODS
def test_container_has_no_more_rights_than_it_needs(pod):
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]
    assert container["resources"]["limits"]["memory"]


def test_compose_has_no_more_rights_than_it_needs():
    assert COMPOSE["user"].split(":")[0] == str(POD["securityContext"]["runAsUser"])
    assert COMPOSE["read_only"] is True
    assert COMPOSE["tmpfs"] == ["/tmp"]
    assert COMPOSE["cap_drop"] == ["ALL"]
    assert COMPOSE["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in COMPOSE["ports"])


@PODS
def test_probes_ask_ports_that_the_server_opens(pod):
    [container] = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert set(ports.values()) == {int(FLAGS["port"]), int(FLAGS["rest_api_port"])}

    def number(port: str | int) -> int:
        return ports[port] if isinstance(port, str) else port

    assert container["readinessProbe"]["exec"]["command"] == COMPOSE["healthcheck"]["test"][1:]
    assert number(container["startupProbe"]["tcpSocket"]["port"]) == int(FLAGS["rest_api_port"])
    assert number(container["livenessProbe"]["tcpSocket"]["port"]) == int(FLAGS["port"])
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] < pod["terminationGracePeriodSeconds"]


def test_service_budget_and_autoscaler_mean_the_deployment():
    labels = MANIFESTS["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert MANIFESTS["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert MANIFESTS["Service"]["spec"]["selector"] == labels
    assert MANIFESTS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    scaler = MANIFESTS["HorizontalPodAutoscaler"]["spec"]
    assert scaler["scaleTargetRef"]["name"] == MANIFESTS["Deployment"]["metadata"]["name"]
    assert scaler["minReplicas"] > MANIFESTS["PodDisruptionBudget"]["spec"]["maxUnavailable"]
    targets = {port["targetPort"]: port["port"] for port in MANIFESTS["Service"]["spec"]["ports"]}
    assert targets == {"grpc": int(FLAGS["port"]), "rest": int(FLAGS["rest_api_port"])}


def peers(port):
    """Who may reach a port, as labels of pods."""
    rules = MANIFESTS["NetworkPolicy"]["spec"]["ingress"]
    return [peer for rule in rules if {"port": port, "protocol": "TCP"} in rule["ports"] for peer in rule["from"]]


def test_network_lets_nobody_in_who_is_not_labelled_and_few_to_the_port_that_loads_models():
    spec = MANIFESTS["NetworkPolicy"]["spec"]
    labels = MANIFESTS["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert spec["podSelector"]["matchLabels"] == labels == PREDICTOR["labels"]
    assert (sorted(spec["policyTypes"]), spec["egress"]) == (["Egress", "Ingress"], [])
    assert all(rule["ports"] and rule["from"] for rule in spec["ingress"])  # one without either is for everybody
    assert peers(int(FLAGS["port"])) == [{"podSelector": {"matchLabels": {"fashion-serving/access": "grpc"}}}]
    clients, metrics = peers(int(FLAGS["rest_api_port"]))
    assert clients["podSelector"]["matchExpressions"] == [
        {"key": "fashion-serving/access", "operator": "In", "values": ["rest", "grpc"]}
    ]
    assert metrics == {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}


def test_threads_are_as_many_as_the_cores_that_are_asked_for():
    cores = [int(pod["containers"][0]["resources"]["requests"]["cpu"]) for pod in (POD, KSERVE_POD)]
    assert {*cores, COMPOSE["cpus"]} == {cores[0]}
    threads = {int(FLAGS[f"tensorflow_{kind}_op_parallelism"]) for kind in ("intra", "inter")}
    assert threads == {cores[0]}
    # A request holds a thread until it is answered: fewer of them never fill the batches that run.
    from serving.server.config import read_batching

    rows = cores[0] * read_batching(DEPLOY / "batching.config").max_execution_batch_size
    assert {int(FLAGS["rest_api_num_threads"]), int(FLAGS["grpc_max_threads"])} == {rows}


GIB = 2**30
SERVER, VERSION, RUN, PICTURE = 0.3 * GIB, 0.2 * GIB, 0.4 * GIB, 2**26 + 30e6  # bytes, README.md, "Memory"


def test_memory_is_enough_for_what_the_limits_let_in():
    from serving.decode import _PARALLEL
    from serving.server.config import read_batching

    runs = read_batching(DEPLOY / "batching.config").num_batch_threads
    needed = SERVER + 3 * VERSION + runs * (RUN + _PARALLEL * PICTURE)
    for pod in (POD, KSERVE_POD):
        assert pod["containers"][0]["resources"]["limits"] == {"memory": "4Gi"}
    assert COMPOSE["mem_limit"] == "4g"
    assert needed < 4 * GIB * 0.95


@pytest.mark.skipif(not shutil.which("bash"), reason="the health check runs in bash")
@pytest.mark.parametrize(("state", "code"), [("AVAILABLE", 0), ("LOADING", 1), ("END", 1), (None, 1)])
def test_probe_tells_a_server_whose_model_can_answer_from_one_whose_cannot(state, code):
    class Status(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            found = self.path == f"/v1/models/{MODELS[0].name}"
            body = f'{{\n "model_version_status": [\n  {{\n   "version": "1",\n   "state": "{state}"\n'.encode()
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(body if found else b"{}")

        def log_message(self, *arguments):
            """Says nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Status) as server:
        port = server.server_port
        if state:
            threading.Thread(target=server.handle_request, daemon=True).start()
        else:
            server.server_close()
        command = [part.replace(f"/{FLAGS['rest_api_port']}", f"/{port}") for part in COMPOSE["healthcheck"]["test"]]
        assert command[0] == "CMD"
        done = subprocess.run(command[1:], capture_output=True, text=True, timeout=10)
    assert (done.returncode == 0) == (code == 0), done.stderr
