"""What one request may ask for at most, over either protocol."""

from collections.abc import Mapping
from dataclasses import dataclass

import grpc
import numpy as np

from serving.server.errors import ServingError

MEGABYTE = 2**20
MOST_DIMENSIONS = 32  # that numpy can iterate over


@dataclass(frozen=True)
class Limits:
    """The largest request that is served; the largest picture in pixels is the model's own affair.

    Attributes:
        request_bytes: of a request's body, once inflated if it came compressed.
        rows: of one input, its first axis.
        string_bytes: of one string, e.g. one encoded picture.
    """

    request_bytes: int = 64 * MEGABYTE
    rows: int = 1024
    string_bytes: int = 16 * MEGABYTE

    def check(self, inputs: Mapping[str, np.ndarray]) -> None:
        """Lets a request pass, or refuses it.

        Args:
            inputs: arrays by input name; strings as object arrays of bytes.

        Raises:
            ServingError: INVALID_ARGUMENT, an input has too many rows or too long a string.
        """
        for name, array in inputs.items():
            if array.ndim and len(array) > self.rows:
                raise _refused(f"{name} has {len(array):,} rows, more than the limit of {self.rows:,}: ask for fewer")
            if array.dtype.kind != "O":
                continue
            longest = max(map(len, array.flat), default=0)
            if longest > self.string_bytes:
                raise _refused(
                    f"{name} holds a string of {longest:,} bytes, more than the limit of {self.string_bytes:,}: "
                    "send a smaller picture"
                )


def _refused(message: str) -> ServingError:
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)
