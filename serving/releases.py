"""Which versions of a model a server loads, and which of them is `stable` or `canary`: the file `models.config`.

It is TensorFlow Serving's model config file and lies in the serving folder, beside the models. Without it the highest
version of each model serves, and a new one goes live when it is published. Once a model has a label, the server loads
the versions listed here and no others: a new one waits until it gets a label.

Two rules of the server shape what is written. It refuses a whole config that gives a label to a version it has not
loaded, so that takes two steps: load, then label. And it answers requests that name neither version nor label
with the highest version loaded, so a version rolled back from is unloaded in the step that moves `stable` away from it.
"""

import re
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig, ModelServerConfig

from serving.disk import locked, replacing

CONFIG = "models.config"
STABLE, CANARY = "stable", "canary"

_LOCK = ".lock"
_HEADER = "# Written by `fashion models`. Entries made by hand are kept, comments are not.\n"
_PAST = re.compile(r"^# (\S+): stable was (\d+(?:, \d+)*)$", re.MULTILINE)
_MOST_PAST = 20


class ReleaseError(Exception):
    """The config cannot be read or written, or says something that forbids the change. The message names the remedy."""


class Releases:
    """What `models.config` says of a serving folder, to be changed and written back.

    Models are called by their folder's name, `<serving>/<model>/<version>/`; the server may know them by another.
    """

    def __init__(self, serving: Path) -> None:
        """Reads the config of a serving folder; one that is not there is empty.

        Raises:
            ReleaseError: it is not a model config, or cannot be read.
        """
        self._path = serving / CONFIG
        try:
            self.before = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            self.before = ""
        except (OSError, ValueError) as error:
            raise ReleaseError(f"{self._path}: cannot be read ({error}). Mend it, or remove it.") from error
        self._config = _parsed(self.before, self._path)
        self._past = {name: [int(v) for v in past.split(", ")] for name, past in _PAST.findall(self.before)}

    @property
    def exists(self) -> bool:
        """Whether there is a config: without one, servers take the highest version of each model."""
        return bool(self.before)

    def __contains__(self, model: str) -> bool:
        return any(_folder(entry) == model for entry in self._entries)

    def add(self, model: str, mount: PurePosixPath | None) -> None:
        """Enters a model, to be served in its highest version, unless it is there already.

        Args:
            model: its folder.
            mount: where the server sees the serving folder; None for where the other entries are, or else for here.
        """
        if model not in self:
            others = (PurePosixPath(entry.base_path).parent for entry in self._entries)
            place = mount or next(others, PurePosixPath(self._path.parent.absolute()))
            self._entries.add(name=model, base_path=str(place / model), model_platform="tensorflow")

    def name(self, model: str) -> str:
        """What the server calls a model."""
        return self._entry(model).name

    def labels(self, model: str) -> dict[str, int]:
        """Label to version; empty for a model that is not in the config."""
        return dict(self._entry(model).version_labels) if model in self else {}

    def loaded(self, model: str, on_disk: Collection[int]) -> set[int]:
        """The versions that a server loads, of those there are; none of a model that an existing config leaves out."""
        if model not in self:
            return set() if self.exists else set(sorted(on_disk)[-1:])
        policy = self._entry(model).model_version_policy
        match policy.WhichOneof("policy_choice"):
            case "all":
                return set(on_disk)
            case "specific":
                return set(policy.specific.versions) & set(on_disk)
            case _:
                return set(sorted(on_disk)[-(policy.latest.num_versions or 1) :])

    def default(self, model: str, on_disk: Collection[int]) -> int | None:
        """The version that answers requests which name neither a version nor a label."""
        return max(self.loaded(model, on_disk), default=None)

    def serving(self, model: str, on_disk: Collection[int]) -> int | None:
        """The version that answers for a model: the stable one, or the default one where none is stable."""
        stable = self.labels(model).get(STABLE)
        return stable if stable in on_disk else self.default(model, on_disk)

    def pinned(self, model: str, on_disk: Collection[int]) -> set[int]:
        """The versions that must not be removed: labelled, loaded, to be loaded, or what `rollback` goes back to."""
        if model not in self:
            return self.loaded(model, on_disk)
        listed = self._entry(model).model_version_policy.specific.versions
        past = self._past.get(model, [])[-1:]
        return {*self.labels(model).values(), *listed, *past, *self.loaded(model, on_disk)}

    def promote(self, model: str, version: int, on_disk: Collection[int]) -> bool:
        """Makes a version `stable`; the one before stays loaded for a quick rollback if it is lower.

        Promoting the stable version again unloads what has no label. Promoting one that was stable before forgets those
        that came after it.

        Returns:
            Whether that is done. If not, the version is only to be loaded: write this, let the server load it, repeat.
        """
        held = self.labels(model).get(STABLE)
        if not self._label(model, STABLE, version, on_disk):
            return False
        past = self._past.setdefault(model, [])
        if version in past:
            del past[past.index(version) :]
        elif held not in (None, version):
            past.append(held)
        self._load(model, on_disk, {held} if held is not None and held < version else set())
        return True

    def canary(self, model: str, version: int | None, on_disk: Collection[int]) -> bool:
        """Makes a version `canary` beside the stable one; None ends that and unloads it.

        Returns:
            As `promote`.

        Raises:
            ReleaseError: no version is stable yet.
        """
        if version is None:
            self._entry(model).version_labels.pop(CANARY, None)
        elif STABLE not in self.labels(model):
            raise ReleaseError(
                f"{model}: no version is stable yet, and a canary is tried beside a stable one. "
                f"Say which it is: fashion models promote {model} VERSION."
            )
        elif not self._label(model, CANARY, version, on_disk):
            return False
        stable = self.labels(model).get(STABLE)
        self._load(model, on_disk, {past for past in self._past.get(model, [])[-1:] if stable and past < stable})
        return True

    def former(self, model: str, on_disk: Collection[int]) -> int:
        """The version to promote for a rollback: what was stable before, or without one on record the next lower one.

        Raises:
            ReleaseError: there is none.
        """
        now = self.labels(model).get(STABLE) or self.default(model, on_disk) or 0
        recorded = [version for version in self._past.get(model, []) if version in on_disk and version != now]
        former = recorded[-1] if recorded else max((version for version in on_disk if version < now), default=None)
        if former is None:
            raise ReleaseError(f"{model}: there is no version before {now} to go back to. Publish a better one.")
        return former

    def text(self) -> str:
        """The file as it should be now: TensorFlow Serving's text proto, the former stable versions as comments."""
        past = "".join(
            f"# {model}: stable was {', '.join(map(str, versions[-_MOST_PAST:]))}\n"
            for model, versions in sorted(self._past.items())
            if versions
        )
        return _HEADER + past + text_format.MessageToString(self._config)

    def write(self) -> bool:
        """Puts the file in place in one step for every reader, if it changed; returns whether it did.

        Raises:
            ReleaseError: it cannot be written; what was there still is.
        """
        text = self.text()
        if text == self.before:
            return False
        try:
            with replacing(self._path) as file:
                file.write(text.encode())
        except OSError as error:
            raise ReleaseError(
                f"{self._path.resolve()}: cannot be written ({error.strerror}). Nothing changed; mend that, and repeat."
            ) from error
        self.before = text
        return True

    @property
    def _entries(self) -> Any:
        return self._config.model_config_list.config

    def _entry(self, model: str) -> ModelConfig:
        for entry in self._entries:
            if _folder(entry) == model:
                return entry
        raise ReleaseError(f"{self._path}: has no entry for {model}. Promote one of its versions.")

    def _label(self, model: str, label: str, version: int, on_disk: Collection[int]) -> bool:
        """Moves a label, if the server will take it; else has the version loaded."""
        if version not in on_disk:
            raise ReleaseError(f"{model}: there is no version {version}; there are {_listed(on_disk)}.")
        entry = self._entry(model)
        loaded = self.loaded(model, on_disk)
        labels = self.labels(model)
        if version in loaded or labels.get(label) == version or not self.exists:
            entry.version_labels[label] = version
            return True
        # Where there are no labels, all are answered by the highest version loaded: that has to be this one.
        _set_specific(entry, {*loaded, version} if labels else {version})
        return False

    def _load(self, model: str, on_disk: Collection[int], further: Collection[int] = ()) -> None:
        """Has the labelled versions loaded, and of the further ones those that are already."""
        labelled = set(self.labels(model).values())
        if labelled:
            _set_specific(self._entry(model), labelled | (self.loaded(model, on_disk) & set(further)))


@contextmanager
def alone(serving: Path) -> Iterator[None]:
    """Holds the lock of a serving folder's config. The system frees it with the process, however that ends.

    Raises:
        ReleaseError: there is no such folder, or it cannot be written.
    """
    with ExitStack() as held:
        try:
            held.enter_context(locked(serving / _LOCK))
        except OSError as error:
            raise ReleaseError(f"{serving}: cannot write here ({error.strerror}). Name the serving folder.") from error
        yield


def pinned(store: Path, on_disk: Collection[int], new: int) -> set[int]:
    """The versions of one model, `<serving>/<model>`, that must not be removed whatever their age.

    To be asked within `alone(store.parent)`, held until the others are removed: labels move in the meantime otherwise.

    Args:
        store: the model's folder.
        on_disk: its versions.
        new: the one that was just published. Servers have still loaded what they had before, and keep that if they
            cannot load the new one.

    Raises:
        ReleaseError: there is a config and it cannot be read.
    """
    releases = Releases(store.parent)
    before = [version for version in on_disk if version != new]
    return releases.pinned(store.name, on_disk) | releases.pinned(store.name, before)


def _parsed(text: str, path: Path) -> ModelServerConfig:
    config = ModelServerConfig()
    try:
        text_format.Parse(text, config)
    except text_format.ParseError as error:
        raise ReleaseError(
            f"{path}: line {error} This is not a model config of TensorFlow Serving, or half of one. "
            "Mend it, or remove it: the highest versions serve then."
        ) from error
    if config.WhichOneof("config") == "custom_model_config":
        raise ReleaseError(f"{path}: holds a custom_model_config. List the models in a model_config_list instead.")
    folders = [_folder(entry) for entry in config.model_config_list.config]
    twice = next((folder for folder in folders if folders.count(folder) > 1), None)
    if twice is not None:
        raise ReleaseError(f"{path}: two entries have a base_path that ends in {twice!r}. Leave one of them.")
    return config


def _folder(entry: ModelConfig) -> str:
    return PurePosixPath(entry.base_path).name


def _set_specific(entry: ModelConfig, versions: Collection[int]) -> None:
    # A policy that loads every version already does what is asked.
    if entry.model_version_policy.WhichOneof("policy_choice") != "all":
        entry.model_version_policy.specific.versions[:] = sorted(versions)


def _listed(versions: Collection[int]) -> str:
    return ", ".join(map(str, sorted(versions))) or "none"
