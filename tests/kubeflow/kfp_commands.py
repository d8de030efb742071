"""`fashion submit` and `fashion schedule`, with packages to give them and a stand-in for Kubeflow Pipelines."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from kfp import compiler, dsl

from pipeline.commands.schedule import submit
from pipeline.kubeflow import cluster
from tests.kubeflow.kfp_server import KfpServer, kfp_server

CRON = ("--cron", "0 3 * * *")


def write_package(path: Path, image: str = "fashion:1", cached: bool = False) -> Path:
    @dsl.container_component
    def ingest(data: str):  # type: ignore[no-untyped-def]
        return dsl.ContainerSpec(image=image, command=["fashion"], args=[data])

    @dsl.container_component
    def verdict():  # type: ignore[no-untyped-def]
        return dsl.ContainerSpec(image=image, command=["fashion"])

    @dsl.pipeline(name="six-class")
    def pipeline(data: str, epochs: int = 3, rate: float = 0.1, again: bool = False, labels: list = []):  # noqa: B006
        with dsl.ExitHandler(verdict().set_caching_options(False)):
            ingest(data=data).set_caching_options(cached)

    compiler.Compiler().compile(pipeline, str(path))
    return path


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_package(tmp_path_factory.mktemp("package") / "fashion.yaml")


@pytest.fixture(scope="module")
def next_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_package(tmp_path_factory.mktemp("next") / "fashion.yaml", image="fashion:2")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[KfpServer]:
    monkeypatch.setattr(cluster, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(cluster, "RETRIES", cluster.RETRIES.new(backoff_factor=0.01))
    for variable in ("FASHION_KUBEFLOW_TOKEN", "KF_PIPELINES_SA_TOKEN_PATH", "KF_PIPELINES_UI_ENDPOINT"):
        monkeypatch.delenv(variable, raising=False)
    with kfp_server() as running:
        yield running


@pytest.fixture
def fashion(server: KfpServer, package: Path) -> Callable[..., Result]:
    """Runs a command on the server, with a package unless another is named."""

    def run(command, *args: str | Path) -> Result:  # type: ignore[no-untyped-def]
        words = [str(arg) for arg in args]
        if command is submit or "--cron" in words:
            words += [] if "--package" in words else ["--package", str(package)]
            words += [] if "data" in " ".join(words).split("=")[0] else ["--param", "data=/shop"]
        return CliRunner().invoke(command, ["--host", server.url, *words])

    return run


def refused(result: Result, code: int, said: str) -> None:
    assert (result.exit_code, result.stderr.count("\n")) == (code, 1), result.output
    assert said in result.stderr
