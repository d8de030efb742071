"""How the server says no: a gRPC status code with a message, and the HTTP status that goes with it."""

import grpc

_HTTP = {
    grpc.StatusCode.OK: 200,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}


class ServingError(Exception):
    """A request, a configuration or a model that cannot be served.

    Attributes:
        code: what kind of refusal it is; TensorFlow Serving's, wherever it has the same.
        message: one line for whoever asked.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class RequestTooLarge(ServingError):
    """A request of more bytes than are read: RESOURCE_EXHAUSTED, as gRPC calls it, and status 413."""

    def __init__(self, limit: int) -> None:
        message = f"The body is larger than the limit of {limit:,} bytes"
        super().__init__(grpc.StatusCode.RESOURCE_EXHAUSTED, message)


def invalid(message: str) -> ServingError:
    """Refuses with INVALID_ARGUMENT."""
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> ServingError:
    """Refuses with NOT_FOUND."""
    return ServingError(grpc.StatusCode.NOT_FOUND, message)


def unmet(message: str) -> ServingError:
    """Refuses with FAILED_PRECONDITION."""
    return ServingError(grpc.StatusCode.FAILED_PRECONDITION, message)


def unserved(method: str, remedy: str) -> ServingError:
    """Refuses a method of TensorFlow Serving's that is not served with UNIMPLEMENTED."""
    message = f"{method} is not served: it takes tf.Examples and signatures made for it. Use {remedy}"
    return ServingError(grpc.StatusCode.UNIMPLEMENTED, message)


def shutting_down() -> ServingError:
    """What a server that is ending answers."""
    return ServingError(grpc.StatusCode.UNAVAILABLE, "The server is shutting down: ask another, or again later")


def http_status(code: grpc.StatusCode) -> int:
    """The HTTP status that TensorFlow Serving's REST API answers in place of a gRPC code."""
    return _HTTP.get(code, 500)


def status_code(number: int) -> grpc.StatusCode:
    """The gRPC code of a number, which TensorFlow's errors share; UNKNOWN if there is none."""
    return _BY_NUMBER.get(number, grpc.StatusCode.UNKNOWN)


def first_line(error: BaseException) -> str:
    """What an exception says first; the rest of TensorFlow's messages are stacks and node definitions."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # A session puts this line before what went wrong.
    told = next((line for line in lines if line != "Graph execution error:"), "")
    return told or type(error).__name__
