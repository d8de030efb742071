"""All models of a server: which version answers a request, and how a new configuration comes to count."""

import asyncio
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.interface import OBSERVE
from serving.server.config import ModelServerConfig, Options, models_of
from serving.server.errors import ServingError, invalid, not_found, shutting_down
from serving.server.lifecycle import Version, VersionStatus
from serving.server.metrics import Metrics
from serving.server.rows import Arrays
from serving.server.runner import Runner
from serving.server.searching import INPUT, SIGNATURE, Question, answer
from serving.server.servable import DEFAULT_SIGNATURE
from serving.server.served_models import ServedModels, require_available
from serving.server.watch import Watch

if TYPE_CHECKING:
    from fashion_client.answer_log import AnswerLog

__all__ = ["Answer", "ModelManager", "Spec", "VersionStatus"]

# Headers, and metadata of gRPC, by which a caller says what a request is about, to columns of the log. Between the ids
# of several rows' products are commas.
_CALLER = {"x-request-id": "request", "x-product-id": "product", "x-slice": "slices"}
_MOST_SAID = 16_384  # characters of each


def said_by(sent: Mapping[str, Any]) -> dict[str, str]:
    """What the caller says of a request, by headers or gRPC's metadata: columns of the log."""
    return {field: str(sent[name])[:_MOST_SAID] for name, field in _CALLER.items() if name in sent}


@dataclass(frozen=True)
class Spec:
    """Whom a request is for."""

    name: str  # of the model
    version: int | None = None  # its number; None for the newest that serves, or the one of `label`
    label: str | None = None  # of the version; None if there is none
    signature: str = ""  # its name; "" for serving_default
    # What the caller said of the request, for the log, see `said_by`.
    caller: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What a version of a model said by one of its signatures; outputs that are strings are object arrays of bytes."""

    version: int
    signature: str
    outputs: dict[str, np.ndarray]


class ModelManager:
    """Serves the models of a configuration. All methods are to be called from one event loop."""

    def __init__(
        self, config: ModelServerConfig, options: Options, metrics: Metrics, log: "AnswerLog | None" = None
    ) -> None:
        """Starts nothing. `log` gets a sample of the answers.

        Raises:
            ServingError: the configuration makes no sense.
        """
        self._models = ServedModels(models_of(config), options, metrics)
        self._watch = Watch(metrics, log)
        self._runner = Runner(options, metrics)
        self._running: set[asyncio.Task[dict[str, np.ndarray]]] = set()
        self._stopped = self._impatient = False

    async def start(self, wait: bool = False) -> None:
        """Loads what is there, and from then on looks for changes.

        Raises:
            ServingError: UNKNOWN, a model has nothing that can be loaded; the others serve. Unless `wait` is set, it
                answers NOT_FOUND until something can.
        """
        new = await self._models.start()
        if wait:
            require_available(new)

    def cut_off(self) -> None:
        """Answers what still runs with UNAVAILABLE; TensorFlow itself cannot be interrupted, and goes on."""
        self._stopped = self._impatient = True
        for call in self._running:
            call.cancel()

    async def stop(self, seconds: float | None = None) -> bool:
        """Refuses new requests, waits for those that run, so many seconds at most, and unloads everything.

        Returns:
            Whether everything has ended. If not, threads are still in TensorFlow.
        """
        self._stopped = True
        ended = await self._models.close(seconds)
        if ended:
            self._runner.close()
        return ended

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
        require_available(await self._models.reload(models_of(config)))

    @property
    def ready(self) -> bool:
        """Whether every configured model has a version that serves."""
        served = map(self._models.get, self._models.configured)
        return not self._stopped and all(model and model.available for model in served)

    def known(self, name: str) -> str:
        """The name of a configured model, "" for any other."""
        return name if name in self._models.configured else ""

    def describe(self) -> list[dict[str, Any]]:
        """Says what each model can be asked: its newest version, its signatures, and the index that answers, if any."""
        models = []
        for name in self._models.configured:
            served = self._models.get(name)
            version, pair = served.find(None) if served else None, self._models.searches.newest(served)
            signatures = sorted(version.servable.signatures) if version else []
            index = {"products": len(pair.index), "attributes": pair.index.attributes} if pair else None
            models.append(
                {"name": name, "version": version and version.number, "signatures": signatures, "index": index}
            )
        return models

    def status(self, name: str, version: int | None = None, label: str | None = None) -> list[VersionStatus]:
        """The states of a model's versions, newest first; of one version if it is named.

        Raises:
            ServingError: NOT_FOUND, there is none; INVALID_ARGUMENT, the label does not exist.
        """
        number = self._number(Spec(name, version, label))
        model = self._models.get(name)
        statuses = model.statuses() if model else []
        if not statuses:
            raise not_found(f"Could not find any versions of model {name}")
        found = [status for status in statuses if number in (None, status.version)]
        if not found:
            raise not_found(f"Could not find version {number} of model {name}")
        return found

    def signatures(self, spec: Spec) -> tuple[int, dict[str, Any]]:
        """The version that answers, and its signatures: name to SignatureDef.

        Raises:
            ServingError: NOT_FOUND, nothing answers; INVALID_ARGUMENT, the label does not exist.
        """
        version = self._find(spec)
        return version.number, version.servable.signatures

    async def predict(self, spec: Spec, inputs: Arrays, output_filter: Collection[str] = ()) -> Answer:
        """Answers a request. If the caller is cancelled while it waits, it is not run.

        Strings are object arrays of bytes. `output_filter` names the outputs that are wanted; empty for all.

        Raises:
            ServingError: with TensorFlow Serving's code and message where it has the same error.
        """
        self._refuse_if_stopped()
        version, signature = self._find(spec), spec.signature or DEFAULT_SIGNATURE
        version.servable.check(signature, inputs, output_filter)
        # Now: when the answer is there, the version may have been unloaded.
        wanted = output_filter or version.servable.signatures[signature].outputs.keys()
        run = signature
        if signature == DEFAULT_SIGNATURE and self._watch.logs and OBSERVE in version.servable.signatures:
            run = OBSERVE  # the same answers in the same pass, with what the log keeps of embeddings
        about = {"model": spec.name, "version": version.number, **spec.caller}
        began = time.monotonic()
        try:
            outputs = await self._run(version, run, inputs)
        except ServingError as error:
            self._watch.failed(about, inputs, began, f"{error.code.name}: {error.message}")
            raise
        self._watch.answered(about, inputs, outputs, began)
        return Answer(version.number, signature, {name: outputs[name] for name in wanted if name in outputs})

    async def search(self, spec: Spec, question: Question) -> dict[str, Any]:
        """Finds similar products by the index of the version that a request is for, or of the newest that has one.

        Raises:
            ServingError: FAILED_PRECONDITION, it has none; INVALID_ARGUMENT, the question makes no sense.
        """
        self._refuse_if_stopped()
        number = self._number(spec)
        if spec.name not in self._models.configured:
            raise not_found(f"Servable not found for request: Latest({spec.name})")
        pair = self._models.searches.find(self._models.get(spec.name), number)

        async def embed(version: Version, pictures: np.ndarray) -> dict[str, np.ndarray]:
            inputs = {INPUT: pictures}
            version.servable.check(SIGNATURE, inputs)
            return await self._run(version, SIGNATURE, inputs)

        return await answer(pair, question, embed)

    async def _run(self, version: Version, signature: str, inputs: Arrays) -> dict[str, np.ndarray]:
        call = asyncio.get_running_loop().create_task(self._runner.run(version, signature, inputs))
        self._running.add(call)
        call.add_done_callback(self._running.discard)
        try:
            return await call
        except asyncio.CancelledError:
            if self._impatient:
                raise shutting_down() from None
            raise

    def _refuse_if_stopped(self) -> None:
        if self._stopped:
            raise shutting_down()

    def _number(self, spec: Spec) -> int | None:
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        if spec.label is None:
            return spec.version
        model = self._models.configured.get(spec.name)
        if not model or spec.label not in model.labels:
            raise invalid(f"Unrecognized servable version label: {spec.label}")
        return model.labels[spec.label]

    def _find(self, spec: Spec) -> Version:
        number = self._number(spec)
        model = self._models.get(spec.name)
        version = model.find(number) if model else None
        if version is None:
            asked = f"Latest({spec.name})" if number is None else f"Specific({spec.name}, {number})"
            raise not_found(f"Servable not found for request: {asked}")
        return version
