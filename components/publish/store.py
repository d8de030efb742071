"""The serving folder of one model, as TensorFlow Serving reads it: `<store>/<version>/`, the highest version serves.

Whoever reads the folder sees whole versions only. A version is made in a hidden staging folder beside the others and
renamed into place; it is renamed out of sight before it is deleted. The store has to lie on a POSIX file system.
"""

import errno
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from components.errors import PublishError
from serving import disk, releases
from serving.config_file import ReleaseError
from serving.versions import EXTRAS, PROVENANCE, find_versions, recorded_digest

# No server takes these for versions: their names are not numbers.
_LOCK = ".lock"
_STAGING = ".staging-"
_REMOVED = ".removed-"

_OCCUPIED = "Move the file that is in the way, or publish elsewhere."
_FULL = "Free some space, or keep fewer versions."
_FORBIDDEN = "Give this user the right to write there, or publish elsewhere."
_REMEDIES = {
    errno.ENOSPC: _FULL, errno.EDQUOT: _FULL, errno.EACCES: _FORBIDDEN, errno.EPERM: _FORBIDDEN,
    errno.EROFS: _FORBIDDEN, errno.EEXIST: _OCCUPIED, errno.ENOTDIR: _OCCUPIED,
    errno.EXDEV: "Put the whole serving folder of a model on one file system.",
}  # fmt: skip


@dataclass(frozen=True)
class Published:
    """Where a model came to lie.

    `already` says whether that version had the same model before: nothing was written then. Versions that had to make
    room are `removed`, ascending.
    """

    version: int
    path: Path
    already: bool
    removed: tuple[int, ...]


def publish(
    model_dir: Path, store: Path, digest: str, extras: Mapping[str, str | bytes], keep: int, *,
    provenance: Mapping[str, str] | None = None,
) -> Published:  # fmt: skip
    """Makes a model the newest version of a store, in one step for every reader, unless that is what serves.

    Publishers of the same store wait for one another. A process killed on the way leaves nothing a server would take
    for a version, and what it does leave the next publisher clears away.

    Args:
        model_dir: a SavedModel; it is copied.
        store: `<serving>/<model>`; made if it is missing.
        digest: `model_digest` of the model that was tried. Where the newest version records it, or the one that
            serves, no other is made, however often this is called.
        extras: file name to contents, written into `assets.extra/`.
        keep: how many of the newest versions stay, at least 1. Older ones are removed, but none that `models.config`
            has labelled, or that servers had loaded when the model was published.
        provenance: where the model comes from; written to `assets.extra/provenance.json` together with `digest`.

    Raises:
        PublishError: the store cannot be written, or the model is not the one that was tried. Nothing half-made is
            left.
    """

    def fill(staging: Path) -> None:
        _copy(model_dir, staging, digest)
        record = json.dumps({"digest": digest, **(provenance or {})}, indent=2) + "\n"
        _write_extras(staging, {**extras, PROVENANCE: record})

    return place(store, keep, lambda version: recorded_digest(version) == digest, fill)


def place(store: Path, keep: int, is_same: Callable[[Path], bool], fill: Callable[[Path], None]) -> Published:
    """Makes a folder the newest version of a store, of models or of what belongs to them; see `publish`.

    `is_same` tells whether a version is what would be published. `fill` makes the folder that it is given the path of,
    on the file system of the store.

    Raises:
        PublishError: the store cannot be written.
    """
    with _explained(store), locked(store):
        _clear_leftovers(store)
        there = versions(store)
        # A version that others have followed would not serve if it were taken for the one to publish.
        for version in (latest(store), serving_version(store)):
            if version and is_same(there[version]):
                return Published(version, there[version], already=True, removed=())
        staging = store / f"{_STAGING}{os.getpid()}"
        try:
            fill(staging)
            _sync(staging)
            version = max(int(time.time()), (latest(store) or 0) + 1)
            path = store / str(version)
            os.rename(staging, path)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        disk.sync(store)
        return Published(version, path, already=False, removed=_prune_around_labels(store, keep, version))


def versions(store: Path) -> dict[int, Path]:
    """Every version a server sees, ascending, with its folder; empty where there is no store."""
    return find_versions(store) if store.is_dir() else {}


def latest(store: Path) -> int | None:
    """The highest version, or None."""
    return max(versions(store), default=None)


def serving_version(store: Path) -> int | None:
    """The version that answers clients, as far as `models.config` tells; None where none does."""
    try:
        return releases.Releases(store.parent).serving(store.name, versions(store))
    except ReleaseError:  # servers go by what they read before
        return latest(store)


def read_extras(version: Path) -> dict[str, bytes]:
    """What lies beside the model in a version's folder: file name to contents."""
    folder = version / EXTRAS
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())} if folder.is_dir() else {}


def model_digest(model_dir: Path) -> str:
    """SHA-256 (hex) over the names and contents of a SavedModel's files; empty folders do not count.

    Raises:
        PublishError: there is no SavedModel.
    """
    if not (model_dir / "saved_model.pb").is_file():
        raise PublishError(f"{model_dir} is not a SavedModel: it has no saved_model.pb. Run the trainer again.")
    digest = hashlib.sha256()
    for name in _files(model_dir):
        with open(model_dir / name, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{content} {name}\0".encode())
    return digest.hexdigest()


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@contextmanager
def _explained(store: Path) -> Iterator[None]:
    """Turns what the file system refuses into a PublishError."""
    try:
        yield
    except OSError as error:
        try:
            serving = serving_version(store)
        except OSError:
            serving = None
        rest = "Nothing was published." if serving is None else f"Version {serving} serves."
        remedy = _REMEDIES.get(error.errno or 0, "Fix that, and publish again.")
        raise PublishError(f"{error.filename or store}: {error.strerror or error}. {remedy} {rest}") from error


@contextmanager
def locked(store: Path) -> Iterator[None]:
    """Holds the store's lock. The system frees it with the process, however that ends."""
    with disk.locked(store / _LOCK, lambda holder: logging.info("%s: waiting for %s to publish", store, holder)):
        yield


def _clear_leftovers(store: Path) -> None:
    # Staging happens under the lock alone: whoever holds it knows that these are of processes that died, which a
    # process id could not tell from within another container.
    for path in store.iterdir():
        if path.name.startswith((_STAGING, _REMOVED)):
            _delete(path)


def _delete(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path)


def _copy(model_dir: Path, staging: Path, digest: str) -> None:
    # Not shutil.copytree: it hides a full disk's errno in a list of strings, and copies permissions along, with which
    # a server under another user may not be able to read.
    staging.mkdir()
    for name in _files(model_dir):
        target = staging / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(model_dir / name, target)
    if model_digest(staging) != digest:
        raise PublishError(
            f"{model_dir} is not the model that was tried in a server: its files have changed since. Delete that "
            "folder and train again. Nothing was published."
        )


def _write_extras(staging: Path, extras: Mapping[str, str | bytes]) -> None:
    folder = staging / EXTRAS
    folder.mkdir(exist_ok=True)
    for name, content in extras.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def _sync(folder: Path) -> None:
    """Puts a folder and all below it on the disk: a version that is visible must survive a power cut whole."""
    for path in (*folder.rglob("*"), folder):
        disk.sync(path)


def _prune_around_labels(store: Path, keep: int, new: int) -> tuple[int, ...]:
    # Labels are asked for now and held still until the others are gone: one may be moving at this moment.
    try:
        with releases.alone(store.parent):
            return prune(store, keep, releases.pinned(store, versions(store), new))
    except ReleaseError as error:
        logging.warning("%s: no version is removed, for nobody can tell which are loaded: %s", store, error)
        return ()


def prune(store: Path, keep: int, pinned: Collection[int]) -> tuple[int, ...]:
    """Removes the versions that are neither pinned nor among the newest `keep`; to be called under `locked`.

    Returns:
        Those removed, ascending.
    """
    removed = []
    for version, path in list(versions(store).items())[: -max(keep, 1)]:
        if version in pinned:
            continue
        away = store / f"{_REMOVED}{os.getpid()}-{version}"
        try:
            os.rename(path, away)
            removed.append(version)
            _delete(away)
        except OSError as error:  # the new version serves already; an old one too many does not matter
            logging.warning("%s: version %d is to be removed and could not be: %s", store, version, error)
    return tuple(removed)
