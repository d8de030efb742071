"""The file `models.config` of a serving folder, TensorFlow Serving's model config: reads, changes and replaces it."""

from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import Any

from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig, ModelServerConfig

from serving.disk import replacing

CONFIG = "models.config"


class ReleaseError(Exception):
    """The config cannot be read or written, or says something that forbids the change. The message names the remedy."""


class ConfigFile:
    """The entries of a serving folder's models, which are called by their folder's name."""

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
            raise ReleaseError(f"{self._path}: cannot be read ({error}). Fix it, or remove it.") from error
        self._config = _parsed(self.before, self._path)

    @property
    def exists(self) -> bool:
        """Whether there is a config: without one, servers take the highest version of each model."""
        return bool(self.before)

    def __contains__(self, model: str) -> bool:
        return any(_folder(entry) == model for entry in self._entries)

    def add(self, model: str, mount: PurePosixPath | None) -> None:
        """Enters a model, to be served in its highest version, unless it is there already.

        `mount` is where the server sees the serving folder; None for where the other entries are, or else for here.
        """
        if model not in self:
            others = (PurePosixPath(entry.base_path).parent for entry in self._entries)
            place = mount or next(others, PurePosixPath(self._path.parent.absolute()))
            self._entries.add(name=model, base_path=str(place / model), model_platform="tensorflow")

    def name(self, model: str) -> str:
        """Returns what the server calls a model."""
        return self.entry(model).name

    def loaded(self, model: str, on_disk: Collection[int]) -> set[int]:
        """The versions that a server loads, of those there are; none of a model that an existing config leaves out."""
        if model not in self:
            return set() if self.exists else set(sorted(on_disk)[-1:])
        policy = self.entry(model).model_version_policy
        match policy.WhichOneof("policy_choice"):
            case "all":
                return set(on_disk)
            case "specific":
                return set(policy.specific.versions) & set(on_disk)
            case _:
                return set(sorted(on_disk)[-(policy.latest.num_versions or 1) :])

    def text(self) -> str:
        """Returns the file as it should be now: TensorFlow Serving's text proto."""
        return text_format.MessageToString(self._config)

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
                f"{self._path.resolve()}: cannot be written ({error.strerror}). Nothing changed; fix that, and repeat."
            ) from error
        self.before = text
        return True

    def entry(self, model: str) -> ModelConfig:
        """Returns the entry of a model.

        Raises:
            ReleaseError: there is none.
        """
        for entry in self._entries:
            if _folder(entry) == model:
                return entry
        raise ReleaseError(f"{self._path}: has no entry for {model}. Promote one of its versions.")

    @property
    def _entries(self) -> Any:
        return self._config.model_config_list.config


def set_specific(entry: ModelConfig, versions: Collection[int]) -> None:
    """Has just these versions loaded, unless the entry loads every version anyway."""
    if entry.model_version_policy.WhichOneof("policy_choice") != "all":
        entry.model_version_policy.specific.versions[:] = sorted(versions)


def _parsed(text: str, path: Path) -> ModelServerConfig:
    config = ModelServerConfig()
    try:
        text_format.Parse(text, config)
    except text_format.ParseError as error:
        raise ReleaseError(
            f"{path}: line {error} This is not a model config of TensorFlow Serving, or half of one. "
            "Fix it, or remove it: the highest versions serve then."
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
