"""Starts the server that a model is tried in: the local one as a process, or TensorFlow Serving in a container."""

import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tfx.components.infra_validator import error_types, serving_bins
from tfx.components.infra_validator.model_server_runners.base_runner import BaseModelServerRunner
from tfx.components.infra_validator.model_server_runners.kubernetes_runner import KubernetesRunner
from tfx.components.infra_validator.model_server_runners.local_docker_runner import LocalDockerRunner
from tfx.proto import infra_validator_pb2 as proto

from components import children
from components.errors import PublishError
from components.infra.settings import Serving

_POD_SPARE_SECONDS = 900  # for the requests, once the model is loaded; after that Kubernetes ends what was left behind
_REMEDIES = {
    "docker": "Start Docker, or name in DOCKER_HOST where it listens",
    "kubernetes": "It can be used by tasks on Kubeflow alone, with KFP_POD_NAME and KFP_NAMESPACE in their environment",
}


class LocalRunner(BaseModelServerRunner):
    """The local model server in a process of its own, on the CPU; it ends with this process, however that ends."""

    def __init__(self, model_path: Path) -> None:
        """Takes a SavedModel in `<model>/<version>/`, and starts nothing."""
        self._base = model_path.parent
        self._process: subprocess.Popen[str] | None = None
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - as long-lived as the process
        self._endpoint = ""

    def __repr__(self) -> str:
        return "the local server"

    def Start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "components.infra.server", str(self._base), self._base.name],
            env=children.environment(TF_CPP_MIN_LOG_LEVEL="2"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._log, text=True,
        )  # fmt: skip

    def WaitUntilRunning(self, deadline: float) -> None:
        assert self._process
        assert self._process.stdout
        ready, _, _ = select.select([self._process.stdout], [], [], max(deadline - time.time(), 0))
        if not ready:
            raise error_types.DeadlineExceeded("it was still loading the model")
        self._endpoint = self._process.stdout.readline().strip()
        if not self._endpoint:
            ended = self._process.wait()
            self._log.seek(0)
            said = self._log.read().strip().rpartition("\n")[2]
            raise error_types.JobAborted(f"it ended with {ended}: {said or 'it said nothing'}")

    def GetEndpoint(self) -> str:
        return self._endpoint

    def GetLogs(self) -> str | None:
        self._log.seek(0)
        ended = self._process.poll() if self._process else None
        return self._log.read() + ("" if ended is None else f"\n(ended with {ended})")

    def Stop(self) -> None:
        if self._process:
            self._process.kill()  # whatever it does, nobody waits for it
            self._process.communicate()
        self._log.close()


def start(model_path: Path, name: str, settings: Serving) -> BaseModelServerRunner:
    """Starts a server for a SavedModel in `<model>/<version>/`, which clients call `name`, without waiting for it.

    Raises:
        PublishError: what starts containers is not there, or refuses.
    """
    if settings.runner == "local":
        local = LocalRunner(model_path)
        local.Start()
        return local
    # Whatever goes wrong here, in libraries with errors of many kinds, is about the machine and not about the model.
    try:
        spec = serving_spec(name, settings)
        [binary] = serving_bins.parse_serving_binaries(spec)
        kind = LocalDockerRunner if settings.runner == "docker" else KubernetesRunner
        runner = kind(model_path=str(model_path), serving_binary=binary, serving_spec=spec)
        runner.Start()
    except Exception as error:
        why = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise PublishError(
            f"serving.runner is {settings.runner}, which started no server: {why}. {_REMEDIES[settings.runner]}; or "
            "try the model in the local server, with --set serving.runner=local. Nothing was published."
        ) from error
    return runner


def serving_spec(name: str, settings: Serving) -> Any:
    """Puts the settings of a server in a container into the words of TFX's runners."""
    spec = proto.ServingSpec(model_name=name)
    if settings.runner == "docker":
        spec.local_docker.client_base_url = os.environ.get("DOCKER_HOST", "")
    else:
        spec.kubernetes.active_deadline_seconds = settings.timeout + _POD_SPARE_SECONDS
    by_digest = "@" in settings.image
    image, _, version = settings.image.rpartition("@" if by_digest else ":")
    spec.tensorflow_serving.image_name = image
    (spec.tensorflow_serving.digests if by_digest else spec.tensorflow_serving.tags).append(version)
    return spec
