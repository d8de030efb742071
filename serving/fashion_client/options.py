"""How long a client waits, how often it tries, how much it sends at once, and whom it trusts."""

import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Timeouts:
    """Limits in seconds."""

    connect: float = 5.0  # until a connection stands
    read: float = 30.0  # of silence while an answer is awaited. REST only; gRPC watches the connection itself.
    total: float = 60.0  # for one request with all its retries and the pauses between them

    def __post_init__(self) -> None:
        if min(self.connect, self.read, self.total) <= 0:
            raise ValueError(f"{self}: every limit has to be above 0 seconds")


@dataclass(frozen=True)
class Retries:
    """When to try again, which is safe because a model's answer changes nothing on the server.

    Tried again are connections refused or cut before an answer, and answers that ask for it: HTTP 429 and 503, gRPC
    RESOURCE_EXHAUSTED and UNAVAILABLE. Timeouts are not: the server may be at work on the request still.
    """

    attempts: int = 4  # in all, 1 to 5, which is the most that gRPC makes
    # Pause after the first attempt, seconds. Each further pause is twice as long, and each is varied at random so that
    # clients do not come back all at once. A pause that the server asks for goes first.
    first: float = 0.2
    longest: float = 5.0  # the longest pause, seconds

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= 5:
            raise ValueError(f"{self}: attempts has to be between 1 and 5")
        if not 0 < self.first <= self.longest:
            raise ValueError(f"{self}: first has to be above 0 and no more than longest")


@dataclass(frozen=True)
class Batches:
    """How much goes into one request; larger ones are split."""

    rows: int = 32  # pictures
    bytes: int = 4 << 20  # of encoded pictures. One picture that is larger goes alone.
    parallel: int = 4  # requests under way at once in `predict_each` and `embed_each`

    def __post_init__(self) -> None:
        if min(self.rows, self.bytes, self.parallel) < 1:
            raise ValueError(f"{self}: rows, bytes and parallel have to be at least 1")


@dataclass(frozen=True)
class Tls:
    """Files in PEM for `https` and `grpcs`."""

    # Certificates of the authorities that are trusted; the system's, or gRPC's own, if None.
    ca: str | Path | None = None
    # Of this client, where a server wants to know its clients; followed by those up to the authority.
    certificate: str | Path | None = None
    key: str | Path | None = None  # that belongs to it, without a password

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together: give both, or neither")
        self.context()

    def context(self) -> ssl.SSLContext:
        """What HTTPS connections are opened with.

        Raises:
            ValueError: a file cannot be read, or is not what it should be.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except OSError as error:
            raise ValueError(f"ca {self.ca}: no certificates in PEM can be read from it ({error})") from error
        if self.certificate is not None:
            try:
                context.load_cert_chain(self.certificate, self.key, password="")
            except OSError as error:
                raise ValueError(
                    f"certificate {self.certificate}, key {self.key}: they cannot be read as PEM, do not belong "
                    f"together, or the key has a password ({error})"
                ) from error
        return context

    def texts(self) -> dict[str, bytes | None]:
        """What gRPC connections are opened with."""
        files = {"root_certificates": self.ca, "private_key": self.key, "certificate_chain": self.certificate}
        return {name: None if file is None else Path(file).read_bytes() for name, file in files.items()}
