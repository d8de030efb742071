"""What a report was written with: packages, machine, and the state of the checkout."""

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

_ROOT = Path(__file__).parents[2]

_PACKAGES = (
    "tfx", "tensorflow", "keras", "tensorflow-data-validation", "tensorflow-transform", "tensorflow-model-analysis",
    "apache-beam", "ml-metadata", "numpy", "pillow", "plotly",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Package to version, of those that make a difference; absent ones are left out."""
    installed = {}
    for name in _PACKAGES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed


def machine() -> dict[str, str]:
    """What this process runs on."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "processors": str(os.cpu_count() or "unknown"),
        "memory": f"{pages / 2**30:.0f} GiB",
        "accelerators": _accelerators(),
    }


def checkout() -> tuple[str | None, bool]:
    """The commit of this checkout, and whether it was changed since; None and False outside of one."""
    commit = _git("rev-parse", "HEAD") if (_ROOT / ".git").exists() else None
    return commit, bool(commit and _git("status", "--porcelain", "--untracked-files=no"))


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(_ROOT), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _accelerators() -> str:
    tf = sys.modules.get("tensorflow")
    if tf is None:  # nothing was asked of a model, and the import takes seconds
        return "not looked for"
    devices = [device.device_type for device in tf.config.list_physical_devices() if device.device_type != "CPU"]
    return ", ".join(devices) or "none"
