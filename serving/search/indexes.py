"""The store of a model's indexes, `<indexes>/<model>/<version>/`: which of them answers for a model."""

import logging
from pathlib import Path

from serving.config_file import ReleaseError
from serving.releases import Releases
from serving.search.index import Index, IndexRefused, read_facts
from serving.versions import find_versions

_log = logging.getLogger(__name__)


def store_of(model: Path) -> Path:
    """Where the indexes of a model lie, `<root>/serving/<model>`: in `<root>/indexes/<model>`."""
    return model.parent.parent / "indexes" / model.name


def fitting(store: Path, digest: str, prefer_stable: bool = True) -> list[Path]:
    """The versions that were made with a model, the one to take first: the stable one, then the newest.

    What cannot be read is passed over, and said in the log.
    """
    there = find_versions(store) if store.is_dir() else {}
    matches = []
    for version, folder in there.items():
        try:
            if read_facts(folder)["model"]["digest"] == digest:
                matches.append(version)
        except IndexRefused as refused:
            _log.warning("%s", refused)
    try:
        stable = Releases(store.parent).labels(store.name).get("stable") if prefer_stable else None
    except ReleaseError as error:
        _log.warning("%s", error)
        stable = None
    return [there[version] for version in sorted(matches, key=lambda version: (version != stable, -version))]


def choose(store: Path, digest: str, prefer_stable: bool = True) -> Index | None:
    """Opens the first of the versions that fit a model and are whole; None where there is none."""
    for folder in fitting(store, digest, prefer_stable):
        try:
            return Index(folder, digest)
        except IndexRefused as refused:
            _log.warning("%s", refused)
    return None
