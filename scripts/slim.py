"""Makes an environment built from the complete lock as small as a run allows, and quick to start.

Called while the image is built, by the environment's own Python: `python slim.py METADATA`, where METADATA is that of
the product. What it takes away is what no import reaches; what a run imports is compiled, because a container's file
system is read-only and every container would compile it again.
"""

import compileall
import importlib
import py_compile
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from email.parser import HeaderParser
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

EXTRA = "pipeline"

# TensorFlow asks for it and never imports it.
NEVER_IMPORTED = {"libclang"}

# The build of TensorFlow without CUDA's kernels stands in for the one that the lock names.
ALSO_CALLED = {"tensorflow-cpu": "tensorflow"}

# Headers for extensions, type stubs, sources of compiled modules.
DEVELOPMENT = ("*.a", "*.cuh", "*.h", "*.hpp", "*.inc", "*.pxd", "*.pyi", "*.pyx")
TESTS = ("tests", "testdata")

# NumPy's testing module imports from its tests.
KEEPS_TESTS = "numpy"

# Together they load nearly all that any stage, the compiler for Kubeflow and the server load.
STARTS = (
    "tfx.v1", "tfx.orchestration.local.runner_utils", "tfx.orchestration.portable.launcher",
    "tfx.components.evaluator.executor", "tfx.components.transform.executor", "tfx.components.trainer.executor",
    "tensorflow_model_analysis", "apache_beam.runners.portability.fn_api_runner", "keras", "PIL.JpegImagePlugin",
    "PIL.PngImagePlugin", "pydantic.fields", "pydantic.functional_validators", "pydantic.main", "pydantic.types",
    "kfp.client", "kfp.kubernetes", "rich.live", "rich.progress_bar", "rich.table", "aiohttp.web", "prometheus_client",
    "grpc_health.v1.health", "tensorflow_serving.apis.prediction_service_pb2_grpc", "pymysql", "unittest.mock",
)  # fmt: skip


def unneeded(wanted: Iterable[str], installed: Iterable[Distribution]) -> list[Distribution]:
    """Finds what can go: neither `wanted`, the product's requirements, nor what they require in turn, names it."""
    there = {_name(each.name): each for each in installed}
    waiting = [(line, frozenset({EXTRA})) for line in wanted]
    needed: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        line, extras = waiting.pop()
        requirement = Requirement(line)
        need = _name(requirement.name), frozenset(requirement.extras)
        if need in needed or need[0] in NEVER_IMPORTED or not _applies(requirement, extras):
            continue
        needed.add(need)
        if need[0] in there:
            waiting += [(each, need[1]) for each in there[need[0]].requires or ()]
    return [each for name, each in there.items() if name not in {name for name, _ in needed}]


def _name(name: str) -> str:
    name = canonicalize_name(name)
    return ALSO_CALLED.get(name, name)


def _applies(requirement: Requirement, extras: Iterable[str]) -> bool:
    return requirement.marker is None or any(requirement.marker.evaluate({"extra": each}) for each in ("", *extras))


def uninstall(distribution: Distribution) -> None:
    """Removes a distribution's files."""
    for file in distribution.files or ():
        Path(str(file.locate())).unlink(missing_ok=True)


def drop_development_files(site: Path) -> None:
    """Removes what is there for people who build or test the packages, not for those who run them."""
    shutil.rmtree(site / "tensorflow" / "include", ignore_errors=True)
    for file in [file for pattern in DEVELOPMENT for file in site.rglob(pattern)]:
        file.unlink()
    for folder in [folder for name in TESTS for folder in site.rglob(name)]:
        if folder.relative_to(site).parts[0] != KEEPS_TESTS:
            shutil.rmtree(folder, ignore_errors=True)


def strip_symbols(site: Path) -> None:
    """Takes the symbol tables out of TensorFlow's libraries; others are small, or were edited in ways strip breaks."""
    libraries = [file for file in (site / "tensorflow").rglob("*.so*") if not file.is_symlink()]
    subprocess.run(["strip", "--strip-unneeded", *libraries], check=True)


def loaded() -> Iterator[Path]:
    """Imports what every run imports; yields the sources of all that is loaded then."""
    for name in STARTS:
        importlib.import_module(name)
    for module in list(sys.modules.values()):
        source = getattr(module, "__file__", None)
        if source and source.endswith(".py"):
            yield Path(source)


def main(metadata: Path) -> None:
    """Makes the running Python's environment small."""
    site = Path(importlib.import_module("packaging").__path__[0]).parent
    product = HeaderParser().parsestr(metadata.read_text(encoding="utf-8"))
    for distribution in unneeded(product.get_all("Requires-Dist", []), distributions(path=[str(site)])):
        uninstall(distribution)
    drop_development_files(site)
    strip_symbols(site)
    for source in loaded():
        # Layers keep the times of files only to the second, if at all: the compiled code does not depend on them.
        compileall.compile_file(source, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
