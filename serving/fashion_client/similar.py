"""What a search of similar products says over REST, and what it answers; TensorFlow Serving has no such thing."""

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Any

from fashion_client.answers import Match
from fashion_client.errors import InvalidRequest, ProtocolError
from fashion_client.pictures import Picture, encode


def search_body(where: str, pictures: Iterable[Picture], ids: Iterable[str], query: Mapping[str, Any]) -> bytes:
    """Makes the body of a search.

    Raises:
        InvalidRequest: a picture cannot be read.
    """
    encoded = [encode(picture) for picture in pictures]
    for picture in encoded:
        if picture.error is not None:
            raise InvalidRequest(where, f"{picture.source or 'a picture'}: {picture.error}")
    rows = [{"b64": b64encode(picture.data).decode()} for picture in encoded]
    return json.dumps({"image_bytes": rows, "ids": list(ids), **query}).encode()


def read_matches(where: str, answer: Mapping[str, Any]) -> list[Match]:
    """Reads the answer.

    Raises:
        ProtocolError: it is not of the form that was promised.
    """
    try:
        return [
            Match(str(each["id"]), float(each["score"]), dict(each["attributes"]), tuple(map(str, each["same"])))
            for each in answer["matches"]
        ]
    except (LookupError, TypeError, ValueError) as error:
        raise ProtocolError(where, f"the matches are not as promised: {error!r}") from error
