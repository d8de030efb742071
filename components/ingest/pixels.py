"""Decodes pictures at ingest by the decoder that training and the published model use, so that none can differ."""

import numpy as np
import tensorflow as tf

from serving.decode import decode_jpeg, decode_png
from serving.exif import MARKS, UPRIGHT, orientation
from serving.limits import JPEG, PNG, RATIOS, starts_with

_orientation = tf.function(
    lambda encoded: orientation(encoded, starts_with(encoded, PNG)), input_signature=[tf.TensorSpec([], tf.string)]
)


def decode(data: bytes, ratio: int) -> tuple[np.ndarray, int]:
    """Decodes a JPEG or PNG; releases the interpreter lock meanwhile. A JPEG may be shrunk by `ratio` as well.

    Returns:
        uint8 [h, w, 3] RGB, of a PNG [h, w, 4] RGBA, not yet turned, and its Exif orientation, 1 to 8.

    Raises:
        ValueError: it cannot be decoded; the message is half a sentence.
    """
    try:
        step = max(step for step in RATIOS if step <= max(ratio, 1))
        pixels = decode_jpeg(data, step) if data.startswith(JPEG) else decode_png(data)
        # A walk through the segments takes longer than decoding a small picture.
        has_mark = any(mark in data for mark in MARKS)
        return pixels.numpy(), int(_orientation(data)) if has_mark else UPRIGHT
    except tf.errors.InvalidArgumentError as error:
        raise ValueError("damaged, cut off, or of a rare kind that TensorFlow does not read") from error
