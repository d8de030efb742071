"""What a search of similar products sends and gets over either protocol; TensorFlow Serving has no such thing."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fashion_client.answers import Match
from fashion_client.errors import InvalidRequest, ProtocolError
from fashion_client.pictures import Picture, encode


def picture_bytes(where: str, pictures: Iterable[Picture]) -> list[bytes]:
    """Encodes the pictures that are asked about together.

    Raises:
        InvalidRequest: one cannot be read.
    """
    encoded = [encode(picture) for picture in pictures]
    for picture in encoded:
        if picture.error is not None:
            raise InvalidRequest(where, f"{picture.source or 'a picture'}: {picture.error}")
    return [picture.data for picture in encoded]


def match_rows(columns: Mapping[str, Sequence[Any]]) -> Iterator[Mapping[str, Any]]:
    """Yields what gRPC answers in columns as REST has it."""
    names = ("id", "score", "attributes", "same")
    for identity, score, attributes, same in zip(*(columns[name] for name in names), strict=True):
        yield {"id": identity, "score": score, "attributes": json.loads(attributes), "same": json.loads(same)}


def read_matches(where: str, matches: Any) -> list[Match]:
    """Reads the matches of an answer.

    Raises:
        ProtocolError: they are not of the form that was promised.
    """
    try:
        return [
            Match(str(each["id"]), float(each["score"]), dict(each["attributes"]), tuple(map(str, each["same"])))
            for each in matches
        ]
    except (LookupError, TypeError, ValueError) as error:
        raise ProtocolError(where, f"the matches are not as promised: {error!r}") from error
