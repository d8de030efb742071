"""Published weights: fetched once and checked, and read in the layout of keras.applications."""

import hashlib
import os
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py  # type: ignore[import-untyped]
import keras

from components.errors import WeightsError

REMEDY = "Give a file with --set model.weights=PATH, or train efficientnet_lite0, whose weights are installed"
_ANSWER_SECONDS = 15  # until a server is taken for unreachable
_STALL_SECONDS = 30  # without a byte until a download is given up


@dataclass(frozen=True)
class Published:
    """A file of weights on a server.

    `digest` is of its contents in hexadecimal: MD5, SHA-256, or the eight digits that this begins with, which PyTorch
    puts into names.
    """

    url: str
    digest: str

    @property
    def name(self) -> str:
        """Of the file."""
        return self.url.rpartition("/")[2]


def fetch(published: Published, remedy: str = REMEDY) -> Path:
    """Returns the file from Keras' cache, or else from its server; `remedy` ends an error, without its full stop.

    Raises:
        WeightsError: it cannot be fetched or is another file; said within seconds where there is no network.
    """
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    file = home / "models" / published.name
    try:
        if not _is_whole(file, published.digest):
            _ask(published.url)
            file.unlink(missing_ok=True)
            with _stalls_end():
                # Where it cannot write to its home, Keras takes another place.
                file = Path(keras.utils.get_file(published.name, published.url, cache_dir=home, cache_subdir="models"))
            if not _is_whole(file, published.digest):
                file.unlink(missing_ok=True)
                raise ValueError(f"{published.url} is not what was published")
    except Exception as error:  # what keras.utils.get_file raises
        raise WeightsError(f"weights 'imagenet' could not be fetched ({reason(error)}). {remedy}") from error
    return file


def load_h5(trunk: keras.Model, path: Path, network: str, published: Published) -> None:
    """Loads a file in the layout of keras.applications, whose classifier, if it has one, is left out.

    Its layers with weights are the trunk's, in its order. Errors call it `network`, and `published` an example of it.

    Raises:
        WeightsError: the file is damaged or holds another network.
    """
    try:
        # Keras takes the layout from the name, and reads what does not fit .weights.h5 in part.
        if path.suffix not in (".h5", ".hdf5") or path.name.endswith(".weights.h5"):
            raise ValueError("its name has to end in .h5, and not in .weights.h5")
        with h5py.File(path) as file:
            classified = "predictions" in file
        reader = _with_classifier(trunk) if classified else trunk
        reader.load_weights(path)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise WeightsError(
            f"{path}: not readable as the weights of {network} ({reason(error)}). Give a file in Keras' layout, "
            f"like {published.url}"
        ) from error


def reason(error: BaseException) -> str:
    """What an error says, without the wrapping that urllib puts around it."""
    cause = getattr(error, "reason", error)
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__


def _is_whole(file: Path, digest: str) -> bool:
    if not file.is_file():
        return False
    contents = hashlib.md5(usedforsecurity=False) if len(digest) == 32 else hashlib.sha256()
    contents.update(file.read_bytes())
    return contents.hexdigest().startswith(digest)


def _with_classifier(trunk: keras.Model) -> keras.Model:
    pooled = keras.layers.GlobalAveragePooling2D(name="avg_pool")(trunk.output)
    return keras.Model(trunk.input, keras.layers.Dense(1000, name="predictions")(pooled))


def _ask(url: str) -> None:
    """Raises OSError unless the server answers in time, however long names and addresses take to fail."""
    failure: list[OSError] = [TimeoutError(f"no answer within {_ANSWER_SECONDS} s")]

    def ask() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_ANSWER_SECONDS).close()
        except urllib.error.HTTPError:
            failure.clear()  # an answer; what it means shows in the download
        except OSError as error:
            failure[0] = error
        else:
            failure.clear()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_ANSWER_SECONDS)
    if failure:
        raise failure[0]


@contextmanager
def _stalls_end() -> Iterator[None]:
    # get_file takes no timeout, and without one a connection that went dead is waited for without end.
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_STALL_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
