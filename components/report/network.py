"""An exported model, asked for more than its signatures give: embeddings and answers in one pass, and Grad-CAM.

The SavedModel has no layers any more, but its graph is all there: the pooling before the head is found in it, so that
any model that was ever exported can be explained, and none has to carry a signature for it.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

# No public name leads to it, though TensorFlow's own guides import it from here.
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

_SIGNATURE = "serving_default"


class NotExplainable(ValueError):
    """The network does not end in a pooled feature map and a softmax."""


class ExportedNetwork:
    """A SavedModel of `serving.signatures.Classifier`, with its inside.

    Attributes:
        shapes: name to shape of every variable.
        features: width of an embedding.
    """

    def __init__(self, folder: Path) -> None:
        """Loads the model; where it has no map to explain, answers still come from its signatures."""
        self._loaded = tf.saved_model.load(str(folder))  # keeps its variables alive
        self._signatures = self._loaded.signatures
        signature = self._signatures[_SIGNATURE]
        self.shapes: Mapping[str, Sequence[int]] = {
            variable.name: tuple(variable.shape) for variable in signature.variables
        }
        self.features = int(self._signatures["embed"].structured_outputs["embedding"].shape[-1])
        # As constants all variables and inner functions lie open in one flat graph.
        frozen = convert_variables_to_constants_v2(signature)
        self._graph = frozen.graph.as_graph_def()
        self._input = frozen.inputs[0].name
        # Frozen, the outputs have lost their names; they stand in the order of these.
        place = sorted(signature.structured_outputs).index("probabilities")
        self._names, self._reason = _inside(frozen.outputs[place].op)
        specification = [tf.TensorSpec([None], tf.string)]
        self._answer = tf.function(self._answered if self._names else self._signed, input_signature=specification)
        self._explain = tf.function(self._explained, input_signature=specification)

    def answer(self, pictures: Sequence[bytes]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Encoded pictures to probabilities [n, k] and L2-normalised embeddings [n, d]."""
        probabilities, embeddings = self._answer(tf.constant(list(pictures)))
        return probabilities.numpy(), embeddings.numpy()

    def explain(self, pictures: Sequence[bytes]) -> NDArray[np.float32]:
        """Where the network looked for its first answer: Grad-CAM, float32 [n, h, w] in 0 … 1.

        Selvaraju et al. 2017, Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization,
        https://arxiv.org/abs/1610.02391: the channels of the last feature map, weighted with the mean gradient of the
        answer's logit, their positive part. Behind global average pooling and one dense layer it equals CAM (ibid.,
        section 3). Each map is divided by its largest value; one without a positive value is all 0.

        Raises:
            NotExplainable: there is no such map.
        """
        if not self._names:
            raise NotExplainable(self._reason)
        return self._explain(tf.constant(list(pictures))).numpy()

    def _signed(self, pictures: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # The network runs twice: once for each signature.
        answers = self._signatures[_SIGNATURE](image_bytes=pictures)
        return answers["probabilities"], self._signatures["embed"](image_bytes=pictures)["embedding"]

    def _answered(self, pictures: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        tensors = self._imported(pictures, ("probabilities", "features"))
        # Of a network with `test_time_flip` as many mirror images follow; its answers are the means.
        count = tf.shape(pictures)[0]
        probabilities, features = (
            tf.reduce_mean(tf.reshape(tensor, (-1, count, tf.shape(tensor)[1])), axis=0) for tensor in tensors.values()
        )
        return probabilities, tf.math.l2_normalize(features, axis=1)

    def _explained(self, pictures: tf.Tensor) -> tf.Tensor:
        tensors = self._imported(pictures, ("logits", "map"))
        gradients = tf.gradients(tf.reduce_max(tensors["logits"], axis=1), tensors["map"])[0]
        weights = tf.reduce_mean(gradients, axis=(1, 2), keepdims=True)
        heat = tf.nn.relu(tf.reduce_sum(weights * tensors["map"], axis=-1))
        heat = heat[: tf.shape(pictures)[0]]  # and not of their mirror images
        return tf.math.divide_no_nan(heat, tf.reduce_max(heat, axis=(1, 2), keepdims=True))

    def _imported(self, pictures: tf.Tensor, roles: Sequence[str]) -> dict[str, tf.Tensor]:
        names = [self._names[name] for name in roles]
        tensors = tf.graph_util.import_graph_def(
            self._graph, input_map={self._input: pictures}, return_elements=names, name=""
        )
        return dict(zip(roles, tensors, strict=True))


def _inside(answer: Any) -> tuple[dict[str, str], str]:
    """The names of the tensors that matter before an operation; none, and why, in a network of another kind."""
    # Those of further columns, and of kinds, are not nearer: of columns side by side the main one comes first.
    softmax = _nearest(answer, lambda operation: operation.type == "Softmax")
    pool = _nearest(softmax, _is_pooling) if softmax else None
    if pool is None:
        return {}, "the model has no pooled feature map before its softmax"
    return {
        "probabilities": answer.outputs[0].name,
        "logits": softmax.inputs[0].name,
        "features": pool.outputs[0].name,
        "map": pool.inputs[0].name,
    }, ""


def _is_pooling(operation: Any) -> bool:
    """Whether it is a mean over a feature map [n, h, w, d]."""
    return operation.type == "Mean" and operation.inputs[0].shape.rank == 4


def _nearest(operation: Any, wanted: Callable[[Any], bool]) -> Any:
    """The nearest such operation on the way to another, or this; None if there is none."""
    waiting, visited = deque([operation]), {operation.name}
    while waiting:
        current = waiting.popleft()
        if wanted(current):
            return current
        for tensor in current.inputs:
            if tensor.op.name not in visited:
                visited.add(tensor.op.name)
                waiting.append(tensor.op)
    return None
