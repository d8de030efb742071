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
ABOUT_SCALE = ("minReplicas", "maxReplicas", "scaleMetric", "scaleTarget")
KSERVE_POD = {key: value for key, value in PREDICTOR.items() if key not in ABOUT_SCALE}
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
    kinds = ("Deployment", "HorizontalPodAutoscaler", "PersistentVolumeClaim", "PodDisruptionBudget", "Service")
    assert tuple(sorted(MANIFESTS)) == kinds
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


def test_server_is_the_same_everywhere():
    containers = [pod["containers"][0] for pod in (POD, KSERVE_POD)]
    images = {COMPOSE["image"], *(container["image"] for container in containers)}
    assert len(images) == 1
    assert re.fullmatch(r"tensorflow/serving:\d+\.\d+\.\d+", images.pop())
    for container in containers:
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

    ready = container["readinessProbe"]["httpGet"]
    assert (ready["path"], number(ready["port"])) == (f"/v1/models/{MODELS[0].name}", int(FLAGS["rest_api_port"]))
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


@pytest.mark.skipif(not shutil.which("bash"), reason="the health check runs in bash")
@pytest.mark.parametrize(("state", "code"), [("AVAILABLE", 0), ("LOADING", 1), (None, 1)])
def test_health_check_of_compose_tells_a_server_that_is_ready(state, code):
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
