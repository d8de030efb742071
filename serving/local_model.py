"""A SavedModel in this process, asked through the interface that clients of a server have."""

import re
from array import array
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from fashion_client import Batches, Client, ClientError, Metadata, Signature, TensorInfo, VersionStatus
from fashion_client.answers import PREDICT
from fashion_client.client import INPUT
from fashion_client.errors import ProtocolError


class ModelError(ClientError):
    """A SavedModel cannot be loaded, or fails at pictures."""

    remedy = "Give a model that was published by this project, and is whole."


class LocalModel(Client):
    """Asks a SavedModel without a server; TensorFlow uses all cores for one batch after another."""

    def __init__(self, folder: Path, batches: Batches | None = None, examples: bool = False) -> None:
        """Loads the model, which takes seconds.

        Args:
            folder: holds `saved_model.pb`; named by the version and lying in a folder named like the model, as
                published.
            batches: how much to ask at once.
            examples: whether predictions are asked of serialized examples, in place of pictures.

        Raises:
            ModelError: it cannot be loaded.
        """
        super().__init__(str(folder), batches or Batches(parallel=1))
        self._examples = examples
        self._name = folder.resolve().parent.name
        self._version = int(folder.name) if re.fullmatch("[0-9]+", folder.name) else 0
        try:
            self._model = tf.saved_model.load(str(folder))
        except (OSError, ValueError, tf.errors.OpError) as error:
            raise ModelError(self.where, f"cannot be loaded: {_first_line(error)}") from error

    def status(self) -> list[VersionStatus]:
        return [VersionStatus(self._version, "AVAILABLE")]

    def metadata(self) -> Metadata:
        signatures = {
            name: Signature(
                {key: _info(spec) for key, spec in function.structured_input_signature[1].items()},
                {key: _info(spec) for key, spec in function.structured_outputs.items()},
            )
            for name, function in self._model.signatures.items()
        }
        return Metadata(self._name, self._version, signatures)

    def close(self) -> None:
        self._model = None

    def _outputs(self, signature: str, wants: Callable[[str], bool], pictures: Sequence[bytes]) -> Mapping[str, Any]:
        given = INPUT
        if self._examples and signature == PREDICT.signature:
            signature = given = "examples"
        function = self._model.signatures.get(signature)
        if function is None or list(function.structured_input_signature[1]) != [given]:
            raise ProtocolError(self.where, f"the model has no signature '{signature}' that takes {given} alone")
        try:
            outputs = function(**{given: tf.constant(list(pictures), tf.string)})
        except (ValueError, tf.errors.OpError) as error:
            raise ModelError(self.where, f"'{signature}' failed: {_first_line(error)}") from error
        return {name: _rows(value) for name, value in outputs.items() if wants(name)}


def _rows(tensor: tf.Tensor) -> list[Any]:
    values = tensor.numpy()
    if tensor.dtype == tf.string:
        decoded = [value.decode("utf-8", "replace") for value in values.flat]
        width = values.shape[1] if values.ndim == 2 else 0
        return [decoded[start : start + width] for start in range(0, len(decoded), width)] if width else decoded
    return values.tolist() if values.ndim == 1 else _arrays(values.astype("float32"))


def _arrays(values: Any) -> Any:
    return array("f", values.tobytes()) if values.ndim == 1 else list(map(_arrays, values))


def _info(spec: tf.TensorSpec) -> TensorInfo:
    shape = None if spec.shape.rank is None else tuple(-1 if size is None else size for size in spec.shape)
    return TensorInfo("float" if spec.dtype == tf.float32 else spec.dtype.name, shape)


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
