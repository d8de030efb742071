"""What is to be served and how: TensorFlow Serving's configuration files, read and checked."""

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from serving.server.errors import invalid, not_found, unmet
from serving.server.protos import BatchingParameters
from serving.versions import find_versions

__all__ = [
    "RUN_ROWS", "Batching", "Model", "ModelServerConfig", "Options", "check_labels", "check_on_disk", "model_base",
    "models_of", "parse_text", "read_batching", "read_model_config", "single_model",
]  # fmt: skip

RUN_ROWS = 32  # of one run, unless batching parameters say otherwise: memory grows with them, and speed no more
_QUEUED_BATCHES = 100  # half a minute of work for two cores

_PLATFORM = "tensorflow"


@dataclass(frozen=True)
class Batching:
    """How requests are merged into batches; the fields of TensorFlow Serving's batching parameters."""

    max_batch_size: int = RUN_ROWS  # rows of the largest request
    batch_timeout_micros: int = 10_000  # how long a batch waits for more requests while a batch thread is free
    max_enqueued_batches: int = 10  # how many batches of one signature may wait; beyond that requests are refused
    num_batch_threads: int = 1  # how many batches run at once
    # Ascending; batches are filled up to the next of these. Empty for any size.
    allowed_batch_sizes: tuple[int, ...] = ()
    enable_large_batch_splitting: bool = False  # whether requests are split over batches
    max_execution_batch_size: int = 0  # rows of the largest batch if requests are split; 0 for `max_batch_size`

    def __post_init__(self) -> None:
        for name in ("max_batch_size", "max_enqueued_batches", "num_batch_threads"):
            if getattr(self, name) < 1:
                raise invalid(f"{name} is {getattr(self, name)}: it has to be at least 1")
        if self.batch_timeout_micros < 0:
            raise invalid(f"batch_timeout_micros is {self.batch_timeout_micros}: it cannot be negative")
        if self.max_execution_batch_size > self.max_batch_size or self.max_execution_batch_size < 0:
            raise invalid(f"max_execution_batch_size has to lie between 1 and max_batch_size, {self.max_batch_size}")
        if self.max_execution_batch_size and not self.enable_large_batch_splitting:
            raise invalid("max_execution_batch_size needs enable_large_batch_splitting { value: true }")
        sizes = self.allowed_batch_sizes
        if sizes and (list(sizes) != sorted(set(sizes)) or sizes[0] < 1 or sizes[-1] != self.run_rows):
            raise invalid(f"allowed_batch_sizes {list(sizes)} have to ascend, and to end with {self.run_rows}")

    @classmethod
    def for_requests(cls, rows: int) -> "Batching":
        """What the server does unasked: requests of up to so many rows share runs of a few."""
        return cls(
            max_batch_size=max(rows, RUN_ROWS),
            max_execution_batch_size=RUN_ROWS,
            enable_large_batch_splitting=True,
            max_enqueued_batches=max(_QUEUED_BATCHES, -(-rows // RUN_ROWS)),
        )

    @property
    def run_rows(self) -> int:
        """Rows of the largest batch that is run."""
        return self.max_execution_batch_size or self.max_batch_size


@dataclass(frozen=True)
class Options:
    """How models are loaded and run."""

    poll_seconds: float = 1.0  # between two looks at the model folders; 0 for one look only, at the start
    threads: int = 0  # how many requests run in TensorFlow at once where they are not batched; 0 for one a core
    warmup: bool = True  # whether the requests in a version's `assets.extra` are replayed before it serves
    batching: Batching | None = None  # how requests are merged; None to run each by itself, in pieces if it is large
    # The model config file, read again at every look; None where there is none to follow.
    config_file: Path | None = None
    # Whether a model whose last version vanishes from its folder goes on serving it from memory, as TensorFlow Serving
    # does with its option servable_versions_always_present.
    keep_last: bool = True
    # After which a version that could not be loaded is tried again though its files are the same, as with TensorFlow
    # Serving's option load_retry_interval_micros; doubled with every try, up to 64 times as long.
    retry_seconds: float = 60.0


@dataclass(frozen=True)
class Model:
    """One model of a configuration."""

    name: str  # as clients call it
    base_path: Path  # the folder of its versions
    latest: int = 1  # how many of the newest versions serve; 0 if `specific` counts
    specific: frozenset[int] | None = None  # the versions that serve; None for all that are there
    labels: Mapping[str, int] = field(default_factory=dict)  # label to version

    def choose(self, found: Iterable[int]) -> list[int]:
        """The versions that are to serve, of those found in the folder; newest first."""
        newest = sorted(found, reverse=True)
        if self.latest:
            return newest[: self.latest]
        return [version for version in newest if self.specific is None or version in self.specific]


def read_model_config(path: Path) -> ModelServerConfig:
    """Reads TensorFlow Serving's model configuration file: a ModelServerConfig in text format.

    Labels are not held against the disk: one whose version is gone must not keep all others from being served.

    Raises:
        ServingError: there is no such file, it does not parse, it contradicts itself, or a folder cannot be read.
    """
    config = parse_text(path, ModelServerConfig())
    check_on_disk({name: replace(model, labels={}) for name, model in models_of(config).items()})
    return config


def single_model(name: str, base_path: Path) -> ModelServerConfig:
    """The configuration of one model, of which the newest version serves.

    Raises:
        ServingError: there is no such folder, or the name cannot be asked for.
    """
    config = _config_of({name: base_path})
    check_on_disk(models_of(config))
    return config


def model_base(base: Path) -> ModelServerConfig:
    """The configuration of all models below a folder, each under its folder's name; or of the one model it is.

    Raises:
        ServingError: there is no such folder, or no version in it.
    """
    try:
        if find_versions(base):
            return single_model(base.resolve().name, base)
        folders = sorted(path for path in base.iterdir() if not path.name.startswith(".") and path.is_dir())
        found = {folder.name: folder for folder in folders if find_versions(folder)}
    except OSError as error:
        raise not_found(f"{base}: {error.strerror}. Give the folder that models are published to.") from error
    if not found:
        raise not_found(f"{base} holds no model: a model is a folder with versions in folders named by numbers.")
    config = _config_of(found)
    models_of(config)
    return config


def read_batching(path: Path) -> Batching:
    """Reads TensorFlow Serving's batching parameters file.

    Raises:
        ServingError: there is no such file, it does not parse, or its numbers do not fit together.
    """
    message = parse_text(path, BatchingParameters())
    given: dict[str, Any] = {}
    for descriptor, value in message.ListFields():
        given[descriptor.name] = tuple(value) if descriptor.name == "allowed_batch_sizes" else value.value
    given.pop("thread_pool_name", None)
    return Batching(**given)


def models_of(config: ModelServerConfig) -> dict[str, Model]:
    """The models of a configuration by name, if it makes sense; the disk is not looked at.

    Raises:
        ServingError: INVALID_ARGUMENT, with TensorFlow Serving's message where it has one.
    """
    if config.WhichOneof("config") == "custom_model_config":
        raise invalid("custom_model_config is not supported: give a model_config_list")
    models: dict[str, Model] = {}
    for entry in config.model_config_list.config:
        if entry.name in models:
            raise invalid(f"Illegal to list model {entry.name} multiple times in config list")
        models[entry.name] = _model(entry)
    return models


def check_on_disk(models: Mapping[str, Model]) -> None:
    """Holds models against their folders.

    Raises:
        ServingError: NOT_FOUND, a folder cannot be read; FAILED_PRECONDITION, a label points to a version that does
            not serve.
    """
    for model in models.values():
        try:
            chosen = model.choose(find_versions(model.base_path))
        except OSError as error:
            raise not_found(f"Model {model.name}: {model.base_path}: {error.strerror}") from error
        check_labels(model, chosen)


def check_labels(model: Model, serving: Collection[int]) -> None:
    """Refuses a label that points to a version that does not serve with FAILED_PRECONDITION."""
    for label, version in model.labels.items():
        if version not in serving:
            raise unmet(
                f"Request to assign label to version {version} of model {model.name}, which is not currently available "
                f"for inference: label '{label}' may point to {', '.join(map(str, serving)) or 'none'}"
            )


def _model(entry: Any) -> Model:
    if not entry.name or set(entry.name) & set("/:"):
        raise invalid(f"'{entry.name}' cannot be a model's name: it has to be something without / and :")
    platform = entry.model_platform or (_PLATFORM if entry.model_type == model_server_config_pb2.TENSORFLOW else "")
    if platform != _PLATFORM:
        raise invalid(f"Model {entry.name} requests unsupported platform '{platform}': it has to be '{_PLATFORM}'")
    if not os.path.isabs(entry.base_path):
        raise invalid(f"Expected model {entry.name} to have an absolute path or URI; got base_path()={entry.base_path}")
    policy, latest, specific = entry.model_version_policy, 0, None
    match policy.WhichOneof("policy_choice"):
        case "specific":
            specific = frozenset(policy.specific.versions)
            if not specific:
                raise invalid(f"Model {entry.name} has a specific version policy without versions: name at least one")
        case "latest" | None:
            latest = policy.latest.num_versions or 1
    return Model(entry.name, Path(entry.base_path), latest, specific, dict(entry.version_labels))


def _config_of(folders: Mapping[str, Path]) -> ModelServerConfig:
    config = ModelServerConfig()
    for name, folder in folders.items():
        config.model_config_list.config.add(name=name, base_path=os.path.abspath(folder), model_platform=_PLATFORM)
    return config


def parse_text(path: Path, message: Any) -> Any:
    """Reads a file that holds a message in protobuf's text format.

    Raises:
        ServingError: there is no such file, or it does not parse.
    """
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), message)
    except OSError as error:
        raise not_found(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise invalid(f"{path} is not a text file: it has to be a protocol buffer in text format") from error
    except text_format.ParseError as error:
        raise invalid(f"{path}, line {error.GetLine() or 1}: {error}") from error
