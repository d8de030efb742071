"""One loaded version of a model: a TensorFlow session over a SavedModel's graph, which is what TensorFlow Serving runs.

`tf.saved_model.load` would rebuild Python objects instead, and so serve models that TensorFlow Serving cannot.
"""

import contextlib
import gc
import inspect
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import prediction_log_pb2

from serving.server.errors import ServingError, first_line, invalid, status_code, unmet
from serving.server.rows import Arrays

DEFAULT_SIGNATURE = "serving_default"
WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
_MOST_WARMUP_REQUESTS = 1000  # TensorFlow Serving refuses a file with more

_METHODS = tuple(f"tensorflow/serving/{method}" for method in ("predict", "classify", "regress"))


class Servable:
    """A version that can be asked. Its methods may be called from any thread."""

    def __init__(self, path: Path) -> None:
        """Loads a SavedModel; takes seconds.

        Raises:
            ServingError: it cannot be loaded, or TensorFlow Serving could not run it.
        """
        self._graph = tf.Graph()
        self._session = tf.compat.v1.Session(
            graph=self._graph, config=tf.compat.v1.ConfigProto(allow_soft_placement=True)
        )
        try:
            with self._graph.as_default(), _explained(path):
                # Unwrapped, it does not warn that tf.saved_model.load is the newer way.
                load = inspect.unwrap(tf.compat.v1.saved_model.load)
                meta_graph = load(self._session, [tf.saved_model.SERVING], str(path))
            self.signatures: dict[str, Any] = dict(meta_graph.signature_def)
            self._functions = {
                name: _Function(self._session, signature)
                for name, signature in self.signatures.items()
                if signature.method_name in _METHODS
            }
            self._check_variables(path)
        except BaseException:
            self.close()
            raise

    def check(self, signature: str, inputs: Arrays, output_filter: Collection[str] = ()) -> None:
        """Lets a request pass, or refuses it as TensorFlow Serving does, before anything is run.

        Args:
            signature: its name.
            inputs: arrays by input name; strings as object arrays of bytes.
            output_filter: the outputs that are wanted; empty for all.

        Raises:
            ServingError: FAILED_PRECONDITION, there is no such signature; INVALID_ARGUMENT, anything else.
        """
        self._function(signature).check(inputs, output_filter)

    def is_batchable(self, signature: str) -> bool:
        """Whether a signature takes and gives any number of rows, so that requests can share a run."""
        return self._function(signature).is_batchable

    def run(self, signature: str, inputs: Arrays) -> dict[str, np.ndarray]:
        """Runs a signature on inputs that `check` has passed.

        Returns:
            All outputs by name; strings as object arrays of bytes.

        Raises:
            ServingError: TensorFlow refused; with its code.
        """
        return self._function(signature).run(inputs)

    def warm_up(self, path: Path) -> int:
        """Replays the requests in a SavedModel's `WARMUP_FILE`, if there is such a file; returns how many there were.

        Raises:
            ServingError: the file is damaged, or a request fails.
        """
        file = path / WARMUP_FILE
        if not file.is_file():
            return 0
        number = 0
        with _explained(file):
            for number, record in enumerate(tf.data.TFRecordDataset(str(file)).as_numpy_iterator(), 1):
                if number > _MOST_WARMUP_REQUESTS:
                    raise invalid(f"Number of warmup records exceeds the maximum ({_MOST_WARMUP_REQUESTS})")
                log = prediction_log_pb2.PredictionLog.FromString(record)
                if log.WhichOneof("log_type") != "predict_log":
                    raise invalid(f"warm-up request {number} is a {log.WhichOneof('log_type')}: only Predict is served")
                request = log.predict_log.request
                name = request.model_spec.signature_name or DEFAULT_SIGNATURE
                inputs = {key: tf.make_ndarray(tensor) for key, tensor in request.inputs.items()}
                self.check(name, inputs, request.output_filter)
                self.run(name, inputs)
        return number

    def close(self) -> None:
        """Frees what the version holds; runs that are under way must have ended."""
        self._functions = {}
        self._session.close()
        self._graph = self._session = None
        # A graph is a knot of Python objects that refer to each other: without this, its constants stay for long.
        gc.collect()

    def _function(self, signature: str) -> "_Function":
        if signature in self._functions:
            return self._functions[signature]
        raise unmet(f'Serving signature key "{signature}" not found.')

    def _check_variables(self, path: Path) -> None:
        """Refuses a model that would load, and then fail on every request."""
        read = {op.name: op for function in self._functions.values() for op in function.variables(self._graph)}
        with self._graph.as_default():
            initialized = [tf.raw_ops.VarIsInitializedOp(resource=op.outputs[0]) for op in read.values()]
        missing = [name for name, fine in zip(read, self._session.run(initialized), strict=True) if not fine]
        if missing:
            raise unmet(
                f"{path}: {len(missing)} of the {len(read)} variables that its signatures read are not restored from "
                f"its checkpoint, {missing[0]} among them: TensorFlow Serving cannot serve it. Export it again, with "
                "all tf.Variables tracked"
            )


class _Function:
    """One signature of a session."""

    def __init__(self, session: Any, signature: Any) -> None:
        self._inputs, self._outputs = dict(signature.inputs), dict(signature.outputs)
        self._fetches = [info.name for info in self._outputs.values()]
        self._call: Callable[..., Sequence[Any]] = session.make_callable(
            self._fetches, [info.name for info in self._inputs.values()]
        )

    @property
    def is_batchable(self) -> bool:
        infos = [*self._inputs.values(), *self._outputs.values()]
        shapes = [info.tensor_shape for info in infos]
        return bool(self._inputs) and all(
            shape.unknown_rank or (len(shape.dim) > 0 and shape.dim[0].size == -1) for shape in shapes
        )

    def variables(self, graph: Any) -> Iterator[Any]:
        """The variables that the outputs depend on, as operations of the graph."""
        seen: set[str] = set()
        waiting = [graph.as_graph_element(name).op for name in self._fetches]
        while waiting:
            op = waiting.pop()
            if op.name in seen:
                continue
            seen.add(op.name)
            if op.type == "VarHandleOp":
                yield op
            waiting.extend(tensor.op for tensor in op.inputs)
            waiting.extend(op.control_inputs)

    def check(self, inputs: Arrays, output_filter: Collection[str]) -> None:
        given, wanted = set(inputs), set(self._inputs)
        if len(given) != len(wanted):
            raise invalid(
                f"input size does not match signature: {len(given)}!={len(wanted)} len({_names(given)}) != "
                f"len({_names(wanted)}). Sent extra: {_names(given - wanted)}. "
                f"Missing but required: {_names(wanted - given)}."
            )
        for name in sorted(given - wanted):
            raise invalid(
                f"input tensor alias not found in signature: {name}. Inputs expected to be in the set {_names(wanted)}."
            )
        for number, (name, info) in enumerate(self._inputs.items()):
            _check_array(number, name, inputs[name], info)
        seen = set()
        for name in output_filter:
            if name not in self._outputs:
                raise invalid(
                    f"output tensor alias not found in signature: {name} "
                    f"Outputs expected to be in the set {_names(self._outputs)}."
                )
            if name in seen:
                raise invalid(f"duplicate output tensor alias: {name}")
            seen.add(name)

    def run(self, inputs: Arrays) -> dict[str, np.ndarray]:
        try:
            return dict(zip(self._outputs, self._call(*(inputs[name] for name in self._inputs)), strict=True))
        except tf.errors.OpError as error:
            raise ServingError(status_code(error.error_code), first_line(error)) from error
        except UnicodeDecodeError as error:
            # TensorFlow quotes bytes that it was sent, and its code is lost with the message that cannot be read.
            raise invalid(error.object.decode(errors="backslashreplace").partition("\n")[0]) from error


def _check_array(number: int, name: str, array: np.ndarray, info: Any) -> None:
    given = types_pb2.DT_STRING if array.dtype.kind in "OSU" else tf.as_dtype(array.dtype).as_datatype_enum
    if given != info.dtype:
        expected, provided = (types_pb2.DataType.Name(kind)[3:].lower() for kind in (info.dtype, given))
        raise invalid(f"Expects arg[{number}] to be {expected} but {provided} is provided")
    shape = info.tensor_shape
    sizes = [dimension.size for dimension in shape.dim]
    fits = len(sizes) == array.ndim and all(want in (-1, size) for want, size in zip(sizes, array.shape, strict=False))
    if not shape.unknown_rank and not fits:
        raise invalid(f"input '{name}' has shape {list(array.shape)}, which does not fit the signature's {sizes}")
    if array.dtype.kind == "O" and not all(isinstance(element, bytes | str) for element in array.flat):
        raise invalid(f"input '{name}' holds something else than strings")


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turns whatever reading a model raises into a ServingError; a damaged file can make it nearly anything."""
    try:
        yield
    except ServingError as error:
        raise ServingError(error.code, f"{path}: {error.message}") from error
    except tf.errors.OpError as error:
        raise ServingError(status_code(error.error_code), f"{path}: {first_line(error)}") from error
    except OSError as error:
        raise ServingError(grpc.StatusCode.NOT_FOUND, f"{path}: {first_line(error)}") from error
    except (DecodeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ServingError(grpc.StatusCode.DATA_LOSS, f"{path}: {first_line(error)}") from error


def _names(names: Collection[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"
