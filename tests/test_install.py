"""Set-up on a machine that cannot have it fails fast, in one line that names the remedy, and leaves nothing behind."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests import HOUSE

INPUTS = ("scripts/install.sh", "setup.py", "serving/fashion_client/pyproject.toml", "constraints.txt")
TOOLS = ("bash", "cat", "dirname", "flock", "grep", "head", "ln", "mkdir", "mktemp", "rm", "rmdir", "sed", "sha256sum",
         "sleep", "sort", "tail", "touch", "uname")  # fmt: skip

PYTHON = """case "$2" in
  *_base_executable*) echo "$0" ;;
  *CS_GNU_LIBC_VERSION*) {libc} ;;
  venv) {venv} ;;
  *) exit 1 ;;
esac
"""
NO_ENSUREPIP = PYTHON.format(libc="echo 2.41", venv="exit 1")
MUSL = PYTHON.format(libc="exit 1", venv="exit 1")
SLOW = PYTHON.format(libc="echo 2.41", venv="exec sleep 60")
OTHER_PYTHON = "exit 1\n"
UV_OFFLINE = """echo '  cause: failed to lookup address information' >&2; exit 2"""
# A download as uv leaves it: of a Python that is on no PATH, and gets no further than the virtual environment.
UV = """folder="$UV_PYTHON_INSTALL_DIR/cpython-3.11.18-linux-x86_64-gnu/bin"
case "$2" in
  dir) echo "$UV_PYTHON_INSTALL_DIR" ;;
  install) mkdir -p "$folder"; ln -s "$(dirname "$0")/hidden" "$folder/python3.11" ;;
esac
"""

FAULTS = {
    "ARM": (
        {"uname": '[ "$1" = -s ] && echo Linux || echo aarch64\n'},
        {},
        "this is Linux on aarch64: use the project's",
    ),
    "macOS": (
        {"uname": '[ "$1" = -s ] && echo Darwin || echo x86_64\n'},
        {},
        "this is Darwin on x86_64: use the project's",
    ),
    "no Python": ({}, {}, "Python 3.11 was not found"),
    "another Python": ({"python3": OTHER_PYTHON}, {}, "uv, which fetches it, could not be installed"),
    "uv offline": ({"uv": UV_OFFLINE}, {}, "uv could not fetch it (cause: failed to lookup"),
    "uv fetches": (
        {"uv": UV, "hidden": NO_ENSUREPIP},
        {},
        "gnu/bin/python3.11 cannot make virtual environments",
    ),
    "another Python named": ({}, {"PYTHON": "/bin/false"}, "PYTHON=/bin/false is not a Python 3.11"),
    "no such Python named": ({}, {"PYTHON": "/no/python"}, "PYTHON=/no/python is not a Python 3.11"),
    "musl": ({"python3.11": MUSL}, {}, "is not built on glibc"),
    "no ensurepip": ({"python3.11": NO_ENSUREPIP}, {}, "apt install python3.11-venv"),
}

MIRROR = "URIs: http://mirror\nSigned-By: /k.gpg\n"
ENTRIES = {
    "deb822, of several stanzas and suites": (
        "debian.sources",
        f"Types: deb\nSuites: bookworm bookworm-updates\n{MIRROR}\nTypes: deb\nSuites: bookworm-security\n{MIRROR}",
        f"Types: deb\nSuites: trixie\n{MIRROR}\n",
    ),
    "deb822, the suite not first": (
        "debian.sources",
        f"Types: deb deb-src\nSuites: bookworm-updates bookworm\n{MIRROR}",
        f"Types: deb deb-src\nSuites: trixie\n{MIRROR}\n",
    ),
    "deb822, disabled": ("debian.sources", f"Enabled: no\nTypes: deb\nSuites: bookworm\n{MIRROR}", ""),
    "deb822, only sources": ("debian.sources", f"Types: deb-src\nSuites: bookworm\n{MIRROR}", ""),
    "one line": ("d.list", "deb http://mirror bookworm main contrib\n", "deb http://mirror trixie main contrib\n"),
    "one line with options": (
        "d.list",
        "deb [arch=amd64 signed-by=/k.gpg] http://mirror bookworm main\n",
        "deb [arch=amd64 signed-by=/k.gpg] http://mirror trixie main\n",
    ),
    "one line with one option": (
        "d.list",
        "deb [trusted=yes] http://mirror bookworm main\n",
        "deb [trusted=yes] http://mirror trixie main\n",
    ),
    "one line, another suite": ("d.list", "deb http://mirror bookworm-updates main\n", ""),
    "one line, a comment": ("d.list", "# deb http://mirror bookworm main\n", ""),
    "one line, only sources": ("d.list", "deb-src http://mirror bookworm main\n", ""),
    "by its role": ("d.list", "deb http://mirror stable main\n", "deb http://mirror trixie main\n"),
}


INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Checkout:
    """A copy of what set-up reads, on a machine that has only `TOOLS` and the given commands."""

    def __init__(self, root: Path) -> None:
        self.root, self.bin = root / "check out", root / "bin"
        for name in INPUTS:
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(HOUSE / name, self.root / name)
        self.bin.mkdir()
        for name in TOOLS:
            (self.bin / name).symlink_to(shutil.which(name) or pytest.skip(f"there is no {name} here"))

    def start(self, commands: dict[str, str], env: dict[str, str]) -> subprocess.Popen[str]:
        for name, body in commands.items():
            (self.bin / name).unlink(missing_ok=True)
            (self.bin / name).write_text(f"#!/bin/sh\n{body}")
            (self.bin / name).chmod(0o755)
        return subprocess.Popen(
            [self.root / "scripts/install.sh"],
            env={
                "PATH": str(self.bin),
                "HOME": str(self.root.parent),
                "UV_PYTHON_INSTALL_DIR": str(self.root.parent / "uv"),
            }
            | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # Where the tests run in the background SIGINT is ignored, and bash then hands that on.
            preexec_fn=lambda: [signal.signal(how, signal.SIG_DFL) for how in INTERRUPTIONS],
        )

    def files(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*") if not path.is_dir()}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def assert_refused(checkout: Checkout, process: subprocess.Popen[str], line: str) -> None:
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.startswith("install: ")
    assert errors.count("\n") == 1
    assert line in errors
    assert checkout.files() == set(INPUTS)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_machine_that_cannot_have_it_is_told_in_one_line(checkout: Checkout, fault: str) -> None:
    commands, env, line = FAULTS[fault]
    assert_refused(checkout, checkout.start(commands, env), line)


@pytest.mark.slow
def test_an_index_out_of_reach_is_told_in_one_line(checkout: Checkout) -> None:
    env = {
        "PYTHON": sys._base_executable,  # type: ignore[attr-defined]
        "PATH": os.environ["PATH"],
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    }
    assert_refused(checkout, checkout.start({}, env), "the package index could not be reached")


def test_a_folder_that_is_no_virtual_environment_is_left_alone(checkout: Checkout, tmp_path: Path) -> None:
    precious = tmp_path / "work" / "thesis.txt"
    precious.parent.mkdir()
    precious.write_text("…")
    process = checkout.start({"python3.11": NO_ENSUREPIP}, {"VENV": str(precious.parent)})
    assert_refused(checkout, process, "holds something else than a virtual environment")
    assert precious.exists()


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)


@pytest.mark.parametrize("how", INTERRUPTIONS)
def test_a_set_up_that_is_interrupted_leaves_nothing(checkout: Checkout, how: signal.Signals) -> None:
    process = checkout.start({"python3.11": SLOW}, {})
    wait_for(checkout.root / ".venv/.half-made")
    os.killpg(process.pid, how)
    process.communicate(timeout=30)
    assert process.returncode != 0
    assert checkout.files() == set(INPUTS)


def test_what_a_killed_set_up_left_is_cleared_by_the_next(checkout: Checkout) -> None:
    process = checkout.start({"python3.11": SLOW}, {})
    wait_for(checkout.root / ".venv/.half-made")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    assert checkout.files() > set(INPUTS)
    assert_refused(checkout, checkout.start({"python3.11": NO_ENSUREPIP}, {}), "cannot make virtual environments")


def test_a_second_set_up_waits_for_the_first(checkout: Checkout) -> None:
    first = os.open(checkout.root, os.O_RDONLY)
    fcntl.flock(first, fcntl.LOCK_EX)
    second = checkout.start({"python3.11": NO_ENSUREPIP}, {})
    assert second.stdout is not None
    assert "another set-up is under way" in second.stdout.readline()
    assert second.poll() is None
    os.close(first)
    assert_refused(checkout, second, "cannot make virtual environments")


@pytest.mark.parametrize("form", ENTRIES)
def test_an_older_system_fetches_from_its_own_archive(tmp_path: Path, form: str) -> None:
    name, text, expected = ENTRIES[form]
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / name).write_text(text)
    script = (HOUSE / "scripts/install.sh").read_text()
    function = script[script.index("archive_entries()") :].partition("\n}\n")[0] + "\n}\n"
    call = 'archive_entries "bookworm|stable|oldstable" trixie "$1" "$1"'
    subprocess.run(["bash", "-euc", function + call, "-", tmp_path], check=True)
    assert (tmp_path / "newer.sources").read_text() + (tmp_path / "newer.list").read_text() == expected


def locked() -> dict[str, str]:
    pins = (line.partition("==") for line in (HOUSE / "constraints.txt").read_text().splitlines())
    return {canonicalize_name(name): version for name, _, version in pins if version}


def test_the_lock_holds_all_that_the_product_and_its_packages_require() -> None:
    versions, missing = locked(), []
    for package in ["fashion-pipeline", *versions]:
        try:
            wanted = [Requirement(line) for line in requires(package) or ()]
        except PackageNotFoundError:
            pytest.fail(f"{package} is locked but not installed: run make install")
        extras = ("", "pipeline", "dev") if package == "fashion-pipeline" else ("",)
        for need in wanted:
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras):
                version = versions.get(canonicalize_name(need.name))
                if version is None or not need.specifier.contains(version, prereleases=True):
                    missing.append(f"{package} requires {need}, the lock has {version}")
    # The lock says why.
    assert missing == ["tensorflow-data-validation requires pyfarmhash<0.4,>=0.2.2, the lock has 0.5.1"]


def test_the_newer_farmhash_hashes_as_the_older_did() -> None:
    import farmhash

    assert farmhash.fingerprint64("fashion") == 6446233930160840506
    assert farmhash.fingerprint32("abc") == 795041479
