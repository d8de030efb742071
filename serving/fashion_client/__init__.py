"""Asks a model server what is in a picture, over REST or gRPC; needs neither TensorFlow nor TFX.

    import fashion_client

    with fashion_client.connect("grpc://localhost:8500", model="six_class") as client:
        for prediction in client.predict(["shoe.jpg", png_bytes, array]):
            print(prediction.label, prediction.confidence)
        for prediction in client.predict_each(fashion_client.pictures_in("pictures.zip")):
            print(prediction.source, prediction.error or prediction.label)

The server may be TensorFlow Serving or the project's own; `http`, `https`, `grpc` and `grpcs` addresses give clients
that differ in nothing else. A picture that is none has an `error` in its answer; what concerns a whole request raises a
`ClientError`.
"""

from fashion_client.answers import Embedding, Match, Metadata, Prediction, Signature, Tag, TensorInfo, VersionStatus
from fashion_client.client import Client, connect
from fashion_client.decisions import Thresholds
from fashion_client.errors import (
    ClientError,
    DeadlineExceeded,
    Forbidden,
    InvalidRequest,
    NotFound,
    Overloaded,
    ProtocolError,
    ServerFailed,
    SourceError,
    Unavailable,
    Unexplained,
    Untrusted,
)
from fashion_client.options import Batches, Retries, Timeouts, Tls
from fashion_client.pictures import Picture
from fashion_client.sources import Sources, pictures_in

__all__ = [
    "Batches",
    "Client",
    "ClientError",
    "DeadlineExceeded",
    "Embedding",
    "Forbidden",
    "InvalidRequest",
    "Match",
    "Metadata",
    "NotFound",
    "Overloaded",
    "Picture",
    "Prediction",
    "ProtocolError",
    "Retries",
    "ServerFailed",
    "Signature",
    "SourceError",
    "Sources",
    "Tag",
    "TensorInfo",
    "Thresholds",
    "Timeouts",
    "Tls",
    "Unavailable",
    "Unexplained",
    "Untrusted",
    "VersionStatus",
    "connect",
    "pictures_in",
]
