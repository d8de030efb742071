"""What a package says of the cluster that it is for: volumes, secrets, variables of its tasks."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from components.errors import RecipeError
from pipeline.metadata import PASSWORD_VARIABLE, parse_url

if TYPE_CHECKING:
    from kfp import dsl

_KUBERNETES_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"(?i)(password|passwd|secret|token|access_key|private_key|credentials)$")


@dataclass(frozen=True)
class Cluster:
    """What a package says of the cluster that it is for."""

    pvc: str | None = None  # name of the volume claim that holds catalogue, artifacts and models; every task mounts it
    mount: str = "/data"  # where
    metadata_secret: str | None = None  # name of the secret whose key `password` is that of the metadata database
    pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None  # when the image is pulled
    pull_secrets: tuple[str, ...] = ()  # names of secrets that it is pulled with
    env: tuple[str, ...] = ()  # variables of every task, NAME=VALUE
    env_secrets: tuple[str, ...] = ()  # likewise, NAME=SECRET/KEY
    # Default of the parameter `data`, the catalogue; None leaves it to who submits. Likewise `root`, the folder that
    # everything is written below, and `metadata`, the database's URL without a password.
    data: str | None = None
    root: str | None = None
    metadata: str | None = None

    def check(self) -> None:
        """Raises RecipeError where Kubernetes would not take something, or a secret would stand in the package."""
        for option, name in self._names():
            if not _KUBERNETES_NAME.fullmatch(name):
                raise RecipeError(
                    f"{option} {name!r}: Kubernetes names have lower-case letters, digits, dots and dashes"
                )
        for option, path in (("--mount", self.mount), ("--data", self.data), ("--root", self.root)):
            if path is not None and not path.startswith("/"):
                raise RecipeError(
                    f"{option} {path}: give the absolute path of a folder in the container, e.g. /data/runs"
                )
        if self.metadata is not None:
            parse_url(self.metadata)
        if self.metadata and urlsplit(self.metadata).password:
            raise RecipeError(
                "--metadata: the password would stand in the package for all to read; put it into a secret under the "
                "key `password`, and name that with --metadata-secret"
            )
        for name, _ in _variables("--env", self.env):
            if _SECRET.search(name):
                raise RecipeError(
                    f"--env {name}: its value would stand in the package for all to read; put it into a secret, and "
                    f"give --env-secret {name}=SECRET/KEY"
                )

    def attach(self, task: "dsl.PipelineTask") -> None:
        """Attaches what the cluster holds for a task."""
        from kfp import kubernetes

        if self.pvc:
            kubernetes.mount_pvc(task, self.pvc, self.mount)
        if self.metadata_secret:
            kubernetes.use_secret_as_env(task, self.metadata_secret, {"password": PASSWORD_VARIABLE})
        for name, secret, key in self._secrets():
            kubernetes.use_secret_as_env(task, secret, {key: name})
        for name, value in _variables("--env", self.env):
            task.set_env_variable(name, value)
        if self.pull_secrets:
            kubernetes.set_image_pull_secrets(task, list(self.pull_secrets))
        if self.pull_policy:
            kubernetes.set_image_pull_policy(task, self.pull_policy)

    def _names(self) -> Iterator[tuple[str, str]]:
        for option, name in (("--pvc", self.pvc), ("--metadata-secret", self.metadata_secret)):
            if name is not None:
                yield option, name
        for name in self.pull_secrets:
            yield "--pull-secret", name
        for _, secret, _ in self._secrets():
            yield "--env-secret", secret

    def _secrets(self) -> Iterator[tuple[str, str, str]]:
        for name, place in _variables("--env-secret", self.env_secrets):
            secret, _, key = place.partition("/")
            if not (secret and key):
                raise RecipeError(
                    f"--env-secret {name}={place}: give it as NAME=SECRET/KEY, e.g. AWS_SECRET_ACCESS_KEY=s3/secret"
                )
            yield name, secret, key


def _variables(option: str, given: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not _VARIABLE.fullmatch(name):
            raise RecipeError(
                f"{option} {text}: begin with a variable's name and =, e.g. HTTPS_PROXY=http://proxy:3128"
            )
        if name == PASSWORD_VARIABLE:
            raise RecipeError(f"{option} {name}: name the database's secret with --metadata-secret")
        yield name, value
