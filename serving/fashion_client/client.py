"""The interface that all clients share, and `connect`, which makes one for an address."""

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fashion_client.answers import (
    EMBED,
    EXPLAIN,
    OBSERVE,
    PREDICT,
    Answer,
    Embedding,
    Match,
    Metadata,
    Prediction,
    Question,
    VersionStatus,
)
from fashion_client.decisions import Thresholds, with_thresholds
from fashion_client.errors import ClientError, InvalidRequest, ProtocolError, Unexplained
from fashion_client.options import Batches, Retries, Timeouts, Tls
from fashion_client.pictures import Encoded, Picture, encode

if TYPE_CHECKING:
    from fashion_client.answer_log import AnswerLog

INPUT = "image_bytes"  # of every signature that is asked


@dataclass(frozen=True)
class Model:
    """Which model of a server is asked: its version or its label, or neither for the newest."""

    name: str
    version: int | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("the model has no name: give the one it is served under")
        if self.version is not None and self.label is not None:
            raise ValueError(f"{self.name}: give a version or a label, not both")

    def __str__(self) -> str:
        version = f" version {self.version}" if self.version is not None else ""
        label = f" '{self.label}'" if self.label is not None else ""
        return f"{self.name}{version}{label}"


class Client(ABC):
    """Asks one model about pictures. Thread-safe; to be closed after use, or used in a `with` statement.

    A picture is a path, encoded bytes, a file opened in binary mode, an array uint8 [h, w], [h, w, 3] or [h, w, 4] of
    numpy or Pillow, or a `Source`. Models read JPEG and PNG; with Pillow, pictures in WebP, AVIF, GIF, BMP, TIFF and
    HEIC are sent as JPEG. One that cannot be read, or that the model or the server refuses, gets an answer with an
    `error`, and the others are not touched.

    Attributes:
        log: gets a sample of the predictions; it stays open when the client is closed. None logs nothing.
    """

    def __init__(self, where: str, batches: Batches) -> None:
        self.where = where
        self.log: AnswerLog | None = None
        self._batches = batches
        self._checked: set[str] = set()
        self._known_version: dict[str, Any] = {}
        self._known_until = 0.0
        self._prediction = PREDICT

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def predict(self, pictures: Iterable[Picture], thresholds: Thresholds | None = None) -> list[Prediction]:
        """Tells what each picture shows, in their order.

        Args:
            pictures: any number.
            thresholds: by which to decide, in place of the model's own.

        Raises:
            ClientError: a request failed as a whole.
            TypeError: something is not a picture.
        """
        answers = (answer for batch in self._split(pictures) for answer in self._ask(self._prediction, batch))
        return list(with_thresholds(answers, thresholds))

    def embed(self, pictures: Iterable[Picture]) -> list[Embedding]:
        """Gives each picture's embedding, in their order.

        Raises:
            ClientError: a request failed as a whole.
            TypeError: something is not a picture.
        """
        return [answer for batch in self._split(pictures) for answer in self._ask(EMBED, batch)]

    def explain(self, pictures: Iterable[Picture], thresholds: Thresholds | None = None) -> list[Prediction]:
        """Like `predict`, with where each picture speaks for its label; `fashion_client.heat` draws that over it.

        Raises:
            Unexplained: the model cannot say.
            ClientError, TypeError: as of `predict`.
        """
        if EXPLAIN.signature not in self._checked and EXPLAIN.signature not in self.metadata().signatures:
            raise Unexplained(self.where, f"the model has no signature '{EXPLAIN.signature}'")
        self._checked.add(EXPLAIN.signature)
        answers = (answer for batch in self._split(pictures) for answer in self._ask(EXPLAIN, batch))
        return list(with_thresholds(answers, thresholds))

    def predict_each(self, pictures: Iterable[Picture], thresholds: Thresholds | None = None) -> Iterator[Prediction]:
        """Like `predict` for any number of pictures: yields in their order, with several requests under way.

        One more request is made ready meanwhile; no more pictures than these hold are in memory.
        """
        return with_thresholds(self._each(self._prediction, pictures), thresholds)

    def embed_each(self, pictures: Iterable[Picture]) -> Iterator[Embedding]:
        """Like `embed` for any number of pictures: yields in their order, with several requests under way."""
        return self._each(EMBED, pictures)

    def similar(self, pictures: Iterable[Picture] = (), ids: Iterable[str] = (), **query: Any) -> list[Match]:
        """Finds products that look like pictures, or like products of the model's index; several are asked together.

        Args:
            pictures: as for `predict`.
            ids: of products.
            query: `k` how many, `where` a filter such as `gender = 'Women'`, `per_family`, `fold`, `diversity` and
                `goes_with`, as docs/search.md says.

        Raises:
            ClientError: the request failed; of a server that cannot search, an `InvalidRequest`.
        """
        raise InvalidRequest(self.where, "similar products are asked for of the project's own server")

    @abstractmethod
    def status(self) -> list[VersionStatus]:
        """Tells which versions of the model the server has, and in which state."""

    @abstractmethod
    def metadata(self) -> Metadata:
        """Tells which version answers, and its signatures."""

    @abstractmethod
    def close(self) -> None:
        """Gives connections and threads back."""

    @abstractmethod
    def _outputs(self, signature: str, wants: Callable[[str], bool], pictures: Sequence[bytes]) -> Mapping[str, Any]:
        """Runs a signature; name to rows, each a str, a float or a sequence of either, of its outputs of use."""

    def _each(self, question: Question[Answer], pictures: Iterable[Picture]) -> Iterator[Answer]:
        under_way: deque[Future[list[Answer]]] = deque()
        pool = ThreadPoolExecutor(self._batches.parallel, thread_name_prefix="fashion-client")
        try:
            for batch in self._split(pictures):
                under_way.append(pool.submit(self._ask, question, batch))
                if len(under_way) > self._batches.parallel:
                    yield from under_way.popleft().result()
            while under_way:
                yield from under_way.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _split(self, pictures: Iterable[Picture]) -> Iterator[list[Encoded]]:
        if isinstance(pictures, (str, bytes)) or hasattr(pictures, "read") or hasattr(pictures, "__array_interface__"):
            raise TypeError("one picture was given: give a list of pictures")
        batch: list[Encoded] = []
        size = 0
        for picture in pictures:
            encoded = encode(picture)
            if batch and (len(batch) == self._batches.rows or size + len(encoded.data) > self._batches.bytes):
                yield batch
                batch, size = [], 0
            batch.append(encoded)
            size += len(encoded.data)
        if batch:
            yield batch

    def _ask(self, question: Question[Answer], batch: Sequence[Encoded]) -> list[Answer]:
        readable = [picture for picture in batch if picture.error is None]
        began = time.monotonic()
        try:
            answered = self._ask_server(question, readable) if readable else []
        except ClientError as error:
            self._note(question, readable, [question.failed(picture.source, str(error)) for picture in readable], began)
            raise
        self._note(question, readable, answered, began)
        answers = iter(answered)
        return [
            next(answers) if picture.error is None else question.failed(picture.source, picture.error)
            for picture in batch
        ]

    def _ask_server(self, question: Question[Answer], batch: Sequence[Encoded]) -> list[Answer]:
        try:
            outputs = self._outputs(question.signature, question.wants, [picture.data for picture in batch])
        except InvalidRequest as refused:
            # One picture beyond a limit of the server fails a request: halves are tried until it stands alone.
            if len(batch) == 1 and question.plain is not None:
                return self._ask_server(question.plain, batch)
            if len(batch) == 1:
                self._check(question.signature)
                return [question.failed(batch[0].source, f"the server refuses it: {refused.detail}")]
            middle = len(batch) // 2
            return [*self._ask_server(question, batch[:middle]), *self._ask_server(question, batch[middle:])]
        return question.answers(self.where, [picture.source for picture in batch], outputs)

    def _note(self, question: Question[Any], batch: Sequence[Encoded], answers: Sequence[Any], began: float) -> None:
        """Logs a sample of predictions; embeddings and explanations are not logged."""
        if self.log is None or question not in (PREDICT, OBSERVE):
            return
        latency = 1000 * (time.monotonic() - began)
        for number in self.log.draw(len(answers)):
            answer = answers[number]
            self.log.offer(
                {
                    "about": self._about, "product": answer.source, "latency_ms": latency, "error": answer.error,
                    "label": answer.label, "confidence": answer.confidence,
                    "top": [{"label": label, "confidence": score} for label, score in answer.top],
                    "outside": answer.outside, "decision": answer.decision or None,
                    "projection": answer.projection or None, "slices": batch[number].slices,
                    "picture": batch[number].data,
                }
            )  # fmt: skip

    def _about(self) -> Mapping[str, Any]:
        """Which version answers; asked for once a minute, for over REST an answer does not say.

        From then on a model is asked for projections if it has them, and no request had to wait for that.
        """
        if time.monotonic() > self._known_until:
            known = self.metadata()
            self._known_version = {"model": known.model, "version": known.version}
            self._known_until = time.monotonic() + 60.0
            self._prediction = OBSERVE if OBSERVE.signature in known.signatures else PREDICT
        return self._known_version

    def _check(self, signature: str) -> None:
        """Raises the error if it is the model that is at fault and not a picture: then none would be answered."""
        if signature in self._checked:
            return
        known = self.metadata().signatures.get(signature)
        if known is None or list(known.inputs) != [INPUT]:
            raise ProtocolError(self.where, f"the model has no signature '{signature}' that takes {INPUT} alone")
        self._checked.add(signature)


def connect(
    address: str,
    model: str,
    *,
    version: int | None = None,
    label: str | None = None,
    timeouts: Timeouts | None = None,
    retries: Retries | None = None,
    batches: Batches | None = None,
    headers: Mapping[str, str] | None = None,
    tls: Tls | None = None,
    log: "AnswerLog | None" = None,
) -> Client:
    """Makes a client for one model of a server. Nothing is sent before the first question.

    Proxies of the environment are not used. `https` and `grpcs` check the server's certificate. An authority of your
    own is named by `tls`, or by the variables SSL_CERT_FILE and GRPC_DEFAULT_SSL_ROOTS_FILE_PATH.

    Args:
        address: `http://host:8501` or `https://…` for REST, with a path if a gateway wants one; `grpc://host:8500` or
            `grpcs://…` for gRPC.
        model: name it is served under.
        version: number of the version to ask; the server's newest if None.
        label: label of the version to ask, instead of its number.
        timeouts: how long to wait.
        retries: how often to try.
        batches: how much to send at once.
        headers: are sent with each request, as credentials for a gateway.
        tls: whom to trust over `https` and `grpcs`, and who asks.
        log: gets a sample of the predictions, see `fashion_client.answer_log`.

    Raises:
        ValueError: the address or another argument is of no use.
    """
    url = urlsplit(address)
    asked = Model(model, version, label)
    options = (asked, timeouts or Timeouts(), retries or Retries(), batches or Batches(), headers or {}, tls or Tls())
    if not url.hostname or url.port == 0 or url.query or url.fragment or url.username:
        raise ValueError(f"'{address}' is not an address: give one like http://localhost:8501 or grpc://localhost:8500")
    if tls and url.scheme in ("http", "grpc"):
        raise ValueError(f"'{address}' is without TLS: tls is for https:// and grpcs://")
    client: Client
    # Both are imported late: a program that uses one need not load the other.
    if url.scheme in ("http", "https"):
        from fashion_client.rest import RestClient

        client = RestClient(address, *options)
    elif url.scheme in ("grpc", "grpcs") and url.path in ("", "/"):
        from fashion_client.rpc import GrpcClient

        client = GrpcClient(address, *options)
    else:
        raise ValueError(f"'{address}' is not an address: it has to begin with http://, https://, grpc:// or grpcs://")
    client.log = log
    return client
