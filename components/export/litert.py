"""Converts a SavedModel to LiteRT; all that knows `tf.lite`, which leaks memory and is about to move.

python -m components.export.litert MODEL FILE FORMAT [CALIBRATION.npy]
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf


def convert(model_dir: str, file: str, form: str, calibration: str = "") -> None:
    """Writes a `.tflite` file with the signature `pixels`.

    Args:
        model_dir: a SavedModel with that signature.
        file: to write.
        form: one of the LiteRT formats of `components.export.settings`.
        calibration: for int8, `.npy` file of decoded pictures, uint8 [n, size, size, 3].
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(model_dir, signature_keys=["pixels"])
    if form != "litert":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if form == "litert-fp16":
        converter.target_spec.supported_types = [tf.float16]
    if form == "litert-int8":
        pictures = np.load(calibration, mmap_mode="r")

        def representative() -> Iterator[dict[str, np.ndarray]]:
            for picture in pictures:
                yield {"pixels": picture[np.newaxis]}

        converter.representative_dataset = representative
    Path(file).write_bytes(converter.convert())


if __name__ == "__main__":
    convert(*sys.argv[1:])
