"""The image: what goes into it, what is taken out again, and, where one has been built, how it behaves.

`make image` builds one and has it tested; without FASHION_IMAGE, its name, the tests that start containers are skipped.
"""

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import Distribution, distributions, requires
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests import HOUSE

DOCKERFILE = (HOUSE / "Dockerfile").read_text()

# What tests read beside the product itself, which the image has where they are mounted.
MOUNTED = ("tests", "pyproject.toml", "setup.py", "constraints.txt", "constraints-gpu.txt", "Dockerfile",
           ".dockerignore", "scripts", "README.md", "benchmarks", "docs")  # fmt: skip
SITE = "/opt/fashion/lib/python3.11/site-packages"


def load_slim() -> ModuleType:
    spec = importlib.util.spec_from_file_location("slim", HOUSE / "scripts/slim.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pins(file: str) -> dict[str, str]:
    lines = (line.partition("==") for line in (HOUSE / file).read_text().splitlines())
    return {canonicalize_name(name): version for name, _, version in lines if version}


def stage(name: str) -> str:
    """The instructions of one stage of the Dockerfile."""
    [text] = re.findall(rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    return str(text)


def test_an_image_without_a_target_is_the_one_for_cpu() -> None:
    assert re.findall(r"^FROM \S+ AS (\S+)", DOCKERFILE, re.MULTILINE)[-1] == "cpu"


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_what_is_shipped_is_only_copied_from_the_stages_that_build(target: str) -> None:
    instructions = {line.split()[0] for line in stage(target).splitlines() if re.match(r"[A-Z]+ ", line)}
    assert instructions <= {"ARG", "COPY", "ENV", "LABEL"}
    assert f"FROM runtime AS {target}" in DOCKERFILE
    assert re.search(r"^USER [1-9]\d*:0$", stage("runtime"), re.MULTILINE)


def test_nothing_but_what_the_image_is_made_of_reaches_the_build() -> None:
    lines = [line for line in (HOUSE / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    let_in = {line[1:] for line in lines if line.startswith("!")}
    assert all((HOUSE / name).exists() for name in let_in)
    assert let_in.isdisjoint({".git", ".venv", "runs", "tests", "README.md"})
    copied = {
        name for line in re.findall(r"^COPY ([^-].*) \./$", DOCKERFILE, re.MULTILINE) for name in line.split()
    } - {"."}
    assert copied <= let_in


def test_the_lock_for_gpu_holds_what_tensorflow_asks_for() -> None:
    locked = pins("constraints-gpu.txt")
    asked = [Requirement(line) for line in requires("tensorflow") or () if "and-cuda" in line]
    assert {canonicalize_name(need.name) for need in asked} == locked.keys()
    assert [need for need in asked if not need.specifier.contains(locked[canonicalize_name(need.name)])] == []


def test_what_the_code_reads_travels_with_it(tmp_path: Path) -> None:
    command = [sys.executable, "setup.py", "--quiet", "build_py", "--build-lib", str(tmp_path)]
    subprocess.run([*command, "egg_info", "--egg-base", str(tmp_path)], cwd=HOUSE, check=True, capture_output=True)
    packages = {HOUSE / name: tmp_path / name for name in ("components", "pipeline", "schema", "serving/server")}
    packages[HOUSE / "serving/fashion_client"] = tmp_path / "fashion_client"
    files = [(file, there / file.relative_to(here)) for here, there in packages.items() for file in here.rglob("*.*")]
    # The client's own project file is what it is installed by elsewhere.
    left_out = {"__pycache__", "pyproject.toml"}
    assert [file for file, copy in files if not left_out & {*file.parts} and not copy.exists()] == []


class Installed(Distribution):
    def __init__(self, name: str, *needs: str) -> None:
        self._text = "\n".join((f"Name: {name}", *(f"Requires-Dist: {need}" for need in needs)))

    def read_text(self, filename: str) -> str | None:
        return self._text if filename == "METADATA" else None

    def locate_file(self, path: object) -> Path:
        return Path(str(path))


@pytest.mark.parametrize(
    ("wanted", "installed", "gone"),
    [
        (["a"], [Installed("a", "b"), Installed("b"), Installed("c")], ["c"]),
        (["a"], [Installed("a", "b"), Installed("b", "a")], []),
        (['a; extra == "pipeline"', 'b; extra == "dev"'], [Installed("a"), Installed("b")], ["b"]),
        (["a[x]"], [Installed("a", 'b; extra == "x"', 'c; extra == "y"'), Installed("b"), Installed("c")], ["c"]),
        (["a", "a[x]"], [Installed("a", 'b; extra == "x"'), Installed("b")], []),
        (["a"], [Installed("a", 'b; python_version < "3"'), Installed("b")], ["b"]),
        (["A_b.c"], [Installed("a-B-c")], []),
        (["tensorflow"], [Installed("tensorflow_cpu", "six", "libclang"), Installed("six"), Installed("libclang")],
         ["libclang"]),
    ],
)  # fmt: skip
def test_only_what_nothing_needs_is_taken_out(
    wanted: list[str], installed: list[Distribution], gone: list[str]
) -> None:
    assert [each.name for each in load_slim().unneeded(wanted, installed)] == gone


def test_the_tools_of_development_stay_out_and_nothing_else_does() -> None:
    gone = {
        canonicalize_name(each.name) for each in load_slim().unneeded(requires("fashion-pipeline"), distributions())
    }
    assert {"mypy", "pytest", "ruff", "grpcio-tools", "libclang"} <= gone
    assert gone.isdisjoint(
        {"aiohttp", "click", "kfp", "kfp-kubernetes", "packaging", "pydantic", "pymysql", "rich", "tfx"}
    )


class Image:
    """The image that FASHION_IMAGE names, run as a strict cluster would: read-only, as a user it does not know."""

    def __init__(self, name: str) -> None:
        self._command = [os.environ.get("ENGINE", "docker"), "run", "--rm", "--read-only", "--tmpfs=/tmp:mode=1777"]
        self._command += ["--cap-drop=ALL", "--security-opt=no-new-privileges", "--user=23456:0"]
        self._name = name

    def run(self, *arguments: str, entrypoint: str = "fashion", options: Sequence[str] = ()) -> str:
        """Runs a container to its end; returns what it printed."""
        command = [*self._command, *options, f"--entrypoint={entrypoint}", self._name, *arguments]
        done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, done.stdout[-4000:]
        return done.stdout


@pytest.fixture(scope="module")
def image() -> Image:
    name = os.environ.get("FASHION_IMAGE")
    if not name:
        pytest.skip("FASHION_IMAGE names no image: run make image")
    return Image(name)


@pytest.mark.slow
def test_help_answers_within_a_second_of_computing(image: Image) -> None:
    code = """
import os, subprocess
subprocess.run(["fashion", "--help"], check=True, stdout=subprocess.DEVNULL)
print(sum(os.times()[2:4]))
"""
    assert float(image.run("-c", code, entrypoint="python")) < 1


@pytest.mark.slow
def test_the_image_holds_no_tools_caches_or_places_of_the_build(image: Image) -> None:
    said = image.run(
        "-c",
        "command -v cc gcc c++ ld strip as make git ruff mypy pytest; find /src /app -mindepth 1 2>/dev/null; "
        "cd /root && find . -mindepth 1 -not -path ./.bashrc -not -path ./.profile; "
        "find /opt/fashion -name '*.h' -o -name '*.pyi'; "
        f"grep -rlF {HOUSE} /opt/fashion /etc 2>/dev/null; true",
        entrypoint="bash",
        options=["--user=0"],
    )
    assert said == ""


@pytest.mark.slow
def test_what_a_run_imports_is_compiled(image: Image) -> None:
    code = """
import os, sys
from importlib.util import cache_from_source
import pipeline.graph, pipeline.local, pipeline.summary, components.train.trainer
sources = [getattr(module, "__file__", None) or "" for module in list(sys.modules.values())]
sources = [source for source in sources if source.endswith(".py")]
print(sum(not os.path.exists(cache_from_source(source)) for source in sources), len(sources))
"""
    bare, of = map(int, image.run("-c", code, entrypoint="python").splitlines()[-1].split())
    assert bare < of / 100


@pytest.mark.slow
def test_the_quick_tests_pass_in_the_image(image: Image) -> None:
    site = Path(pytest.__file__).parent.parent
    tools = [site / name for name in ("pytest", "_pytest", "py.py", "pluggy", "iniconfig")]
    options = [f"--volume={HOUSE / name}:{SITE}/{name}:ro" for name in MOUNTED]
    options += [f"--volume={tool}:/tools/{tool.name}:ro" for tool in tools]
    options += ["--env=PYTHONPATH=/tools", f"--workdir={SITE}"]
    # These are about what the image leaves out: the checkout, the lock, and tools of development.
    left_out = (
        "e2e",
        "serving/test_deploy.py",
        "test_benchmarks.py",
        "test_docs.py",
        "test_image.py",
        "test_install.py",
    )
    ignored = [f"--ignore=tests/{name}" for name in left_out]
    options_of_pytest = ["-q", "-p", "no:cacheprovider", "-m", "not slow", *ignored]
    said = image.run("-m", "pytest", *options_of_pytest, "tests", entrypoint="python", options=options)
    sys.stdout.write(said.splitlines()[-1])
