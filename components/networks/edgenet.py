"""EdgeNet: three convolutions before a trunk that learn which edges of a picture to bring out.

From what was published, three convolutions for edges before a pretrained backbone are taken. Widths, first filters and
the residual form are this project's: the last convolution begins at zero, so that training begins with the picture as
it is and with all that the pretrained trunk knows (the start that Goyal et al. 2017, https://arxiv.org/abs/1706.02677,
section 5.1, give residual branches).
"""

import keras
import numpy as np
from keras import layers

PREFIX = "front"  # of its layers' names

_WIDTH = 16
# Sobel's derivative along x; along y it is its transpose. With the Laplacian, they see edges and thin lines.
_SOBEL = np.array([(-1, 0, 1), (-2, 0, 2), (-1, 0, 1)], np.float32) / 8
_LAPLACE = np.array([(0, 1, 0), (1, -4, 1), (0, 1, 0)], np.float32) / 4


def with_edgenet(trunk: keras.Model) -> keras.Model:
    """Sets EdgeNet before a trunk, as one flat network that shares its weights.

    Pictures are float32 [n, size, size, 3] in 0..255, and so is what enters the trunk.
    """
    pictures = keras.Input(trunk.input_shape[1:], name="pictures")
    # `call` runs the trunk's layers one by one; called as a layer, they would be out of sight.
    return keras.Model(pictures, trunk.call(_edgenet(pictures)), name=trunk.name)


def _edgenet(pictures: keras.KerasTensor) -> keras.KerasTensor:
    x = layers.Rescaling(1 / 255, name=f"{PREFIX}_scaling")(pictures)
    # The border goes on as it is: with zeros around it, every picture on white would have a frame.
    x = keras.ops.pad(x, ((0, 0), (3, 3), (3, 3), (0, 0)), mode="symmetric")
    x = layers.Conv2D(9, 3, kernel_initializer=_edge_filters, name=f"{PREFIX}_conv1")(x)
    x = layers.LeakyReLU(name=f"{PREFIX}_relu1")(x)
    x = layers.Conv2D(_WIDTH, 3, kernel_initializer="he_normal", name=f"{PREFIX}_conv2")(x)
    x = layers.LeakyReLU(name=f"{PREFIX}_relu2")(x)
    x = layers.Conv2D(3, 3, kernel_initializer="zeros", name=f"{PREFIX}_conv3")(x)
    edges = layers.Rescaling(255.0, name=f"{PREFIX}_edges")(x)
    return keras.ops.clip(layers.Add(name=f"{PREFIX}_add")([pictures, edges]), 0, 255)


@keras.saving.register_keras_serializable("fashion")
def _edge_filters(shape: tuple[int, ...], dtype: str | None = None) -> keras.KerasTensor:
    """Kernel [3, 3, 3, 9]: the three filters for each colour."""
    kernel = np.zeros(shape, np.float32)
    for colour in range(3):
        for number, edge in enumerate((_SOBEL, _SOBEL.T, _LAPLACE)):
            kernel[:, :, colour, 3 * colour + number] = edge
    return keras.ops.convert_to_tensor(kernel, dtype)
