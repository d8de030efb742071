"""What can go wrong between a client and a server, or with the pictures it was given; all are `ClientError`s."""


class ClientError(Exception):
    """Names who was asked, what went wrong and the remedy.

    Attributes:
        where: the server and model, or the file, that it is about.
        detail: what went wrong, in the server's own words where it had any.
    """

    remedy = ""

    def __init__(self, where: str, detail: str) -> None:
        super().__init__(where, detail)
        self.where, self.detail = where, detail

    def __str__(self) -> str:
        return f"{self.where}: {self.detail.rstrip('. ')}. {self.remedy}".rstrip()


class InvalidRequest(ClientError):
    """The server refused what it was sent."""

    remedy = "Check the label if you gave one, that the model takes encoded pictures, and the server's limits."


class NotFound(ClientError):
    """The server has no such model, version or label."""

    remedy = "Check the name of the model, and its version or label."


class Forbidden(ClientError):
    """The server, or a gateway before it, wants credentials or others than those sent."""

    remedy = "Give the credentials it asks for as headers."


class Overloaded(ClientError):
    """The server is up and takes no more work at present."""

    remedy = "Try again later, or send less at once."


class Unavailable(ClientError):
    """The server cannot be reached, hung up, or says that it is not ready."""

    remedy = "Check that it runs, that the address is right, and whether it wants TLS, or a certificate of yours."


class Untrusted(Unavailable):
    """The server's certificate is not trusted, this client's is missing or not trusted, or one side speaks no TLS."""

    remedy = (
        "Name the authority of the server's certificate (ca), and a certificate and key of yours where it wants them; "
        "https:// and grpcs:// are for servers with TLS."
    )


class DeadlineExceeded(ClientError):
    """There was no complete answer in time."""

    remedy = "Allow more time, or send smaller batches."


class ServerFailed(ClientError):
    """The server took the request and failed at it."""

    remedy = "Look into the server's log."


class ProtocolError(ClientError):
    """What came back is not the answer of a model server, or not that of a model of this project."""

    remedy = "Check that the address is a model server's, and that the model was published by this project."


class Unexplained(ClientError):
    """The model cannot say where it looks."""

    remedy = "Train and publish it anew: those of earlier releases cannot, nor can copies in other formats."


class SourceError(ClientError):
    """A folder or archive of pictures cannot be read at all."""

    remedy = "Give a folder or a zip that holds pictures."
