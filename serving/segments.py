"""What stands before the pixels of a JPEG or PNG, walked through by the graph."""

from collections.abc import Callable

import tensorflow as tf

_MOST_SEGMENTS = 512
_PADDING = 32  # bytes after the last, so that reading there is no error

Test = Callable[[tf.Tensor], tf.Tensor]


def bytes_of(encoded: tf.Tensor) -> tf.Tensor:
    """Returns a file as uint8 [n]; zeros follow its last byte."""
    return tf.pad(tf.io.decode_raw(encoded, tf.uint8), [[0, _PADDING]])


def end_of(data: tf.Tensor) -> tf.Tensor:
    """Returns where the zeros begin that follow the last byte, int64 scalar."""
    return tf.size(data, tf.int64) - _PADDING


def jpeg_segment(data: tf.Tensor, is_wanted: Test) -> tf.Tensor:
    """Finds the first segment of a JPEG that is wanted, but none behind the scan's; int64 scalar.

    Returns:
        Where its marker stands; that of something else where no segment is wanted.
    """

    def length(at: tf.Tensor) -> tf.Tensor:
        # Any number of 0xFF may stand before a marker.
        return tf.where(is_at(data, at, b"\xff\xff"), tf.constant(1, tf.int64), 2 + number(data, at + 2, 2))

    def is_passed(at: tf.Tensor) -> tf.Tensor:
        return is_at(data, at, b"\xff") & ~is_at(data, at, b"\xff\xda") & ~is_wanted(at)

    return _walk(data, 2, is_passed, length)


def png_chunk(data: tf.Tensor, kind: bytes) -> tf.Tensor:
    """Finds the first chunk of a kind in a PNG, which may also be the last of all; int64 scalar, as `jpeg_segment`."""
    return _walk(data, 8, lambda at: ~is_at(data, at + 4, kind), lambda at: 12 + number(data, at, 4))


def is_at(data: tf.Tensor, at: tf.Tensor, text: bytes) -> tf.Tensor:
    """Tells whether a text stands there, bool scalar."""
    return tf.reduce_all(data[at : at + len(text)] == tf.constant(list(text), tf.uint8))


def number(data: tf.Tensor, at: tf.Tensor, size: int, little: tf.Tensor | bool = False) -> tf.Tensor:
    """Returns the whole number of `size` bytes there, int64 scalar; its last byte counts least, unless `little`."""
    digits = tf.cast(data[at : at + size], tf.int64)
    weights = [256**place for place in range(size)]
    return tf.reduce_sum(digits * tf.cast(tf.where(little, weights, weights[::-1]), tf.int64))


def _walk(data: tf.Tensor, start: int, is_passed: Test, length: Test) -> tf.Tensor:
    (at,) = tf.while_loop(
        lambda at: (at < end_of(data)) & is_passed(at),
        lambda at: (tf.minimum(at + length(at), end_of(data)),),
        (tf.constant(start, tf.int64),),
        maximum_iterations=_MOST_SEGMENTS,
    )
    return at
