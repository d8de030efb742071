"""What operators do with published versions: see them, move labels between them, remove old ones."""

import difflib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.error import HTTPError
from urllib.request import urlopen

from components.errors import FashionError
from components.publish.store import locked, read_extras, versions
from components.publish.store import prune as remove_old
from serving.config_file import ReleaseError
from serving.releases import CANARY, STABLE, Releases, alone
from serving.versions import recorded_digest

_SECONDS_BETWEEN_LOOKS = 1.0
_EARLIEST, _LATEST = 10**9, 2**32  # version numbers taken for seconds since 1970, which the publisher counts in

Choice = int | Literal["latest", "former"] | None


@dataclass(frozen=True)
class Move:
    """A change of a label, by a method of `Releases`; `version` is where it goes, None takes it away."""

    verb: Literal["promote", "canary"]
    version: Choice

    @property
    def label(self) -> str:
        return CANARY if self.verb == "canary" else STABLE


@dataclass(frozen=True)
class Servers:
    """Those that serve a folder."""

    # Where they see it; None for where other models in the config are, or else for here.
    mount: PurePosixPath | None = None
    # REST addresses to be asked whether a version is loaded; none are asked where none are given.
    urls: Sequence[str] = ()
    timeout: float = 300.0  # seconds that a version may take to be loaded


def move(folder: Path, model: str, change: Move, servers: Servers, say: Callable[[str], None], dry_run: bool) -> None:
    """Moves a label; where servers have to load the version first, has them do that, and with `servers.urls` waits.

    If what is wanted is so already, nothing is written. `say` is given each line for the operator; `dry_run` only says
    how the config would change.

    Raises:
        FashionError: no such model or version, a config that cannot be read or written, or a server that cannot load.
    """
    check_model(folder, model)
    while True:
        with _mendable(), alone(folder):
            releases, on_disk = Releases(folder), list(versions(folder / model))
            for name in [model] if releases.exists else models_in(folder):
                releases.add(name, servers.mount)
            version = _chosen(change.version, releases, model, on_disk)
            done = getattr(releases, change.verb)(model, version, on_disk)
            if dry_run:
                say(_difference(releases.before, releases.text()) or f"{model}: nothing would change")
                return
            changed = releases.write()
        held = releases.labels(model).get(change.label)
        state = f"{change.label} is {held}" if held else f"there is no {change.label}"
        if done:
            say(f"{model}: {state}{'' if changed else ', as before'}")
            return
        say(f"{model}: version {version} has to be loaded first; until then {state}")
        path = f"/v1/models/{releases.name(model)}/versions/{version}"
        change = Move(change.verb, version)
        if not servers.urls:
            say(f"When every server shows it as AVAILABLE, move the label:\n  curl http://SERVER:8501{path}")
            say(f"  fashion models {change.verb} {model} {version}")
            return
        for url in servers.urls:
            _await_available(url.rstrip("/") + path, servers.timeout)


def prune(folder: Path, model: str, keep: int, dry_run: bool) -> tuple[list[int], int]:
    """Removes all but the newest versions and those that are labelled, loaded or the target of a rollback.

    Loaded is what a server has that follows the folder's `models.config`, or takes the highest version without one.

    Returns:
        The versions removed, ascending, and how many are left.

    Raises:
        FashionError: no such model, or a config that cannot be read; nothing is removed then.
    """
    check_model(folder, model)
    store = folder / model
    with _mendable(), locked(store), alone(folder):
        releases, on_disk = Releases(folder), versions(store)
        kept = releases.pinned(model, on_disk)
        if dry_run:
            gone = [version for version in list(on_disk)[:-keep] if version not in kept]
        else:
            gone = list(remove_old(store, keep, kept))
    return gone, len(on_disk) - len(gone)


def describe(folder: Path, model: str) -> list[dict[str, Any]]:
    """What there is of a model, the newest version first.

    Returns:
        For each version: `version`, `published` (UTC, ISO 8601), `accuracy` and `macro_f1` on the test split (None
        where unknown), `labels`, `loaded` (by a server that follows the config), `default` (it answers requests that
        name neither version nor label), `missing` (it has a label, and its folder is gone) and `index`, the version of
        the index that answers for it (None for none).

    Raises:
        FashionError: no such model, or a config that cannot be read.
    """
    check_model(folder, model)
    with _mendable():
        releases, on_disk = Releases(folder), versions(folder / model)
    labels, loaded = releases.labels(model), releases.loaded(model, on_disk)
    return [
        {
            "version": version,
            "published": _published(version, on_disk.get(version)),
            **_measured(on_disk.get(version)),
            "index": _index(folder / model, on_disk.get(version)),
            "labels": sorted(label for label, labelled in labels.items() if labelled == version),
            "loaded": version in loaded,
            "default": version == releases.default(model, on_disk),
            "missing": version not in on_disk,
        }
        for version in sorted({*on_disk, *labels.values()}, reverse=True)
    ]


def models_in(folder: Path) -> list[str]:
    """The models of a serving folder that have a version.

    Raises:
        FashionError: there is no such folder.
    """
    if not folder.is_dir():
        raise FashionError(f"{folder}: there is no serving folder. Train a model, or name it with --root or --serving.")
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith(".") and versions(path))


def check_model(folder: Path, model: str) -> None:
    """Raises a FashionError unless a model has a version."""
    there = models_in(folder)
    if model not in there:
        raise FashionError(f"{folder}: there is no version of {model!r}; there are: {', '.join(there) or 'no models'}.")


def _chosen(version: Choice, releases: Releases, model: str, on_disk: Sequence[int]) -> int | None:
    if version == "latest":
        return on_disk[-1]
    return releases.former(model, on_disk) if version == "former" else version


def _await_available(url: str, timeout: float) -> None:
    """Returns when a server has loaded a version.

    Raises:
        FashionError: it cannot, or did not in time.
    """
    ends, state = time.monotonic() + timeout, "not asked"
    while time.monotonic() < ends:
        try:
            with urlopen(url, timeout=min(10.0, timeout)) as answer:
                status = json.load(answer)["model_version_status"][0]
            state = status["state"]
            error = status.get("status", {}).get("error_message")
        except HTTPError as refused:
            state, error = f"HTTP {refused.code}", None  # as long as the server has not read the config again
        except (OSError, ValueError, LookupError) as failed:
            state, error = f"no answer: {failed}", None
        if state == "AVAILABLE":
            return
        if state == "END" and error:
            raise FashionError(
                f"{url}: the server cannot load it: {error}. No label was moved; promote a sound version."
            )
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    raise FashionError(
        f"{url}: not AVAILABLE within {timeout:g} s ({state}). No label was moved. See whether the server watches this "
        "models.config and what its log says, and repeat."
    )


def _published(version: int, path: Path | None) -> str | None:
    if path is None:
        return None
    seconds = version if _EARLIEST <= version < _LATEST else path.stat().st_mtime
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _measured(path: Path | None) -> dict[str, float | None]:
    try:
        metrics = json.loads(read_extras(path)["metrics.json"]) if path else {}
    except (OSError, ValueError, LookupError):  # a version somebody put there by hand
        metrics = {}
    return {name: metrics.get(name) for name in ("accuracy", "macro_f1")}


def _index(store: Path, path: Path | None) -> str | None:
    from serving.search.indexes import fitting, store_of  # faiss and pyarrow, which nothing else here takes

    digest = recorded_digest(path) if path else None
    return next((folder.name for folder in fitting(store_of(store), digest)), None) if digest else None


def _difference(before: str, after: str) -> str:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "models.config", "models.config", lineterm="")
    return "\n".join(lines)


@contextmanager
def _mendable() -> Iterator[None]:
    try:
        yield
    except ReleaseError as error:
        raise FashionError(str(error)) from error
