"""The server that a model is tried in."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from components.settings import Count, Settings


def _image(text: str) -> str:
    if not re.fullmatch(r"[^\s@]+?(:[\w.-]+|@sha256:[0-9a-f]{64})", text):
        raise ValueError(f"{text!r} is not a version of an image; write it with a tag, e.g. tensorflow/serving:2.19.1")
    return text


class Serving(Settings):
    """The server that a model has to be served by before it is published, and what it is asked."""

    runner: Literal["local", "docker", "kubernetes"] = Field(
        default="local", description="the local server, or TensorFlow Serving's image in a container"
    )
    image: Annotated[str, AfterValidator(_image), Field(description="of TensorFlow Serving, with its tag")] = (
        "tensorflow/serving:2.19.1"
    )
    examples: Annotated[
        int, Field(ge=1, le=1024, description="pictures of the test split whose answers have to reach gate.accuracy")
    ] = 128
    batch: Annotated[
        int, Field(ge=1, le=256, description="rows that models come warmed up for; at most the servers' max_batch_size")
    ] = 32
    timeout: Count = Field(default=300, description="until the model is loaded, seconds")
    decode_bytes: Count = Field(
        default=100_000_000, description="the published model refuses a picture that takes more memory to decode"
    )
