"""All models of a server: which version answers a request, and how a new configuration comes to count."""

import asyncio
import logging
import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np

from serving.server.config import Model, ModelServerConfig, Options, check_on_disk, models_of
from serving.server.errors import ServingError
from serving.server.lifecycle import ServedModel, Version, VersionStatus
from serving.server.metrics import Metrics
from serving.server.runner import Runner
from serving.server.servable import DEFAULT_SIGNATURE

__all__ = ["Answer", "ModelManager", "Spec", "VersionStatus"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Spec:
    """Whom a request is for.

    Attributes:
        name: of the model.
        version: its number; None for the newest that serves, or the one of `label`.
        label: of the version; None if there is none.
        signature: its name; "" for serving_default.
    """

    name: str
    version: int | None = None
    label: str | None = None
    signature: str = ""


@dataclass(frozen=True)
class Answer:
    """What a model said.

    Attributes:
        version: which version it was.
        signature: which signature it was.
        outputs: arrays by name; strings as object arrays of bytes.
    """

    version: int
    signature: str
    outputs: dict[str, np.ndarray]


class ModelManager:
    """Serves the models of a configuration. All methods are to be called from one event loop."""

    def __init__(self, config: ModelServerConfig, options: Options, metrics: Metrics) -> None:
        """Starts nothing.

        Args:
            config: which models to serve.
            options: how to load and run them.
            metrics: what is counted.

        Raises:
            ServingError: the configuration makes no sense.
        """
        self._configured = models_of(config)
        self._options, self._metrics = options, metrics
        self._models: dict[str, ServedModel] = {}
        self._labels: dict[str, Mapping[str, int]] = {}
        self._loader = ThreadPoolExecutor(1, "model-loader")
        self._runner = Runner(options, metrics)
        self._reloading = asyncio.Lock()
        self._polling: asyncio.Task[None] | None = None
        self._stopped = False

    async def start(self, wait: bool = False) -> None:
        """Loads what is there, and from then on looks for changes.

        Args:
            wait: whether a model of which nothing can be loaded is an error; otherwise it answers NOT_FOUND until
                something can.

        Raises:
            ServingError: UNKNOWN, a model has nothing that can be loaded; the others serve.
        """
        async with self._reloading:
            new = await self._apply(self._configured)
        if self._options.poll_seconds > 0:
            self._polling = asyncio.get_running_loop().create_task(self._poll())
        if wait:
            _require_available(new)

    async def stop(self) -> None:
        """Refuses new requests, waits for those that run, and unloads everything."""
        self._stopped = True
        if self._polling:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)
        async with self._reloading:
            await asyncio.gather(*(model.retire() for model in self._models.values()))
        self._loader.shutdown(wait=False)
        self._runner.close()

    async def reload(self, config: ModelServerConfig) -> None:
        """Takes another configuration over; all of it or, if it makes no sense, nothing.

        A model that is new has to become available, or the caller hears of it; the configuration counts nevertheless,
        as it does in TensorFlow Serving. An empty message changes nothing.

        Raises:
            ServingError: INVALID_ARGUMENT or NOT_FOUND, it makes no sense; FAILED_PRECONDITION, a label points to a
                version that does not serve; UNKNOWN, a new model did not become available.
        """
        self._refuse_if_stopped()
        if config.WhichOneof("config") is None:
            return
        async with self._reloading:
            loop = asyncio.get_running_loop()
            models = models_of(config)
            await loop.run_in_executor(self._loader, check_on_disk, models)
            for model in models.values():
                self._check_labels(model)
            _require_available(await self._apply(models))

    @property
    def ready(self) -> bool:
        """Whether every configured model has a version that serves."""
        return not self._stopped and all(
            name in self._models and self._models[name].available for name in self._configured
        )

    def status(self, name: str, version: int | None = None, label: str | None = None) -> list[VersionStatus]:
        """The states of a model's versions, newest first; of one version if it is named.

        Raises:
            ServingError: NOT_FOUND, there is none; INVALID_ARGUMENT, the label does not exist.
        """
        number = self._number(Spec(name, version, label))
        model = self._models.get(name)
        statuses = model.statuses() if model else []
        if not statuses:
            raise _not_found(f"Could not find any versions of model {name}")
        found = [status for status in statuses if number in (None, status.version)]
        if not found:
            raise _not_found(f"Could not find version {number} of model {name}")
        return found

    def signatures(self, spec: Spec) -> tuple[int, dict[str, Any]]:
        """The version that answers, and its signatures: name to SignatureDef.

        Raises:
            ServingError: NOT_FOUND, nothing answers; INVALID_ARGUMENT, the label does not exist.
        """
        version = self._find(spec)
        return version.number, version.servable.signatures

    async def predict(
        self,
        spec: Spec,
        inputs: Mapping[str, np.ndarray],
        output_filter: Collection[str] = (),
        *,
        entrypoint: str = "",
    ) -> Answer:
        """Answers a request. If the caller is cancelled while it waits, it is not run.

        Args:
            spec: whom it is for.
            inputs: arrays by input name; strings as object arrays of bytes.
            output_filter: the outputs that are wanted; empty for all.
            entrypoint: "GRPC" or "REST", for the metrics.

        Raises:
            ServingError: with TensorFlow Serving's code and message where it has the same error.
        """
        began, status = time.monotonic(), "CANCELLED"
        try:
            answer = await self._predict(spec, inputs, output_filter)
            status = "OK"
            return answer
        except ServingError as error:
            status = error.code.name
            raise
        except Exception:
            status = "INTERNAL"
            raise
        finally:
            # Names that clients make up would grow the metrics without bound.
            name = spec.name if spec.name in self._configured else ""
            self._metrics.requests.labels(name, status).inc()
            latency = self._metrics.request_latency.labels(name, "Predict", entrypoint)
            latency.observe((time.monotonic() - began) * 1e6)

    async def _predict(self, spec: Spec, inputs: Mapping[str, np.ndarray], output_filter: Collection[str]) -> Answer:
        self._refuse_if_stopped()
        version, signature = self._find(spec), spec.signature or DEFAULT_SIGNATURE
        version.servable.check(signature, inputs, output_filter)
        outputs = await self._runner.run(version, signature, inputs)
        wanted = output_filter or outputs
        return Answer(version.number, signature, {name: outputs[name] for name in wanted})

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._options.poll_seconds)
            for model in list(self._models.values()):
                try:
                    await model.refresh()
                except Exception:  # noqa: BLE001 - a bug met with one model is not to leave the others unwatched
                    _log.exception("model %s: looking for versions failed", model.model.name)

    async def _apply(self, models: Mapping[str, Model]) -> list[ServedModel]:
        """Makes a configuration the one that counts; what is to replace an old model has to be loaded first.

        Returns:
            The models that are new, whether or not they became available.
        """
        self._configured = dict(models)
        self._labels = {name: model.labels for name, model in models.items()}
        retired = [self._models.pop(name) for name in set(self._models) - set(models)]
        new = []
        for name, model in models.items():
            if served := self._served(model):
                served.model = model
                await served.refresh()
                continue
            served = ServedModel(model, self._options, self._metrics, self._loader)
            new.append(served)
            before = self._models.setdefault(name, served)
            await served.refresh()
            if before is not served and served.available:
                self._models[name] = served
                retired.append(before)
        await asyncio.gather(*(served.retire() for served in retired))
        return new

    def _served(self, model: Model) -> ServedModel | None:
        """What serves a model already, from the same folder."""
        served = self._models.get(model.name)
        return served if served and served.model.base_path == model.base_path else None

    def _check_labels(self, model: Model) -> None:
        served = self._served(model)
        for version in model.labels.values() if served else ():
            if served and served.find(version) is None:
                raise ServingError(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    f"Request to assign label to version {version} of model {model.name}, which is not currently "
                    "available for inference",
                )

    def _refuse_if_stopped(self) -> None:
        if self._stopped:
            raise ServingError(grpc.StatusCode.UNAVAILABLE, "The server is shutting down: ask another, or again later")

    def _number(self, spec: Spec) -> int | None:
        if not spec.name:
            raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, "ModelSpec has no name specified.")
        if spec.label is None:
            return spec.version
        labels = self._labels.get(spec.name, {})
        if spec.label not in labels:
            raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, f"Unrecognized servable version label: {spec.label}")
        return labels[spec.label]

    def _find(self, spec: Spec) -> Version:
        number = self._number(spec)
        model = self._models.get(spec.name)
        version = model.find(number) if model else None
        if version is None:
            asked = f"Latest({spec.name})" if number is None else f"Specific({spec.name}, {number})"
            raise _not_found(f"Servable not found for request: {asked}")
        return version


def _require_available(models: Collection[ServedModel]) -> None:
    failed = []
    for served in models:
        if not served.available:
            reasons = [status.error_message for status in served.statuses() if status.error_message]
            failed.append(served.model.name + (f" due to error: {reasons[0]}" if reasons else ""))
    if failed:
        message = f"{len(failed)} model(s) did not become available: {{{', '.join(failed)}}}"
        raise ServingError(grpc.StatusCode.UNKNOWN, message)


def _not_found(message: str) -> ServingError:
    return ServingError(grpc.StatusCode.NOT_FOUND, message)
