"""Which way up a picture is to be shown, read by the graph from its Exif data."""

from collections.abc import Callable

import tensorflow as tf

UPRIGHT = 1
MARKS = (b"Exif\0\0", b"eXIf")  # one of them is in every file that tells its orientation

_ORIENTATION = 0x0112  # the tag
_SHORT = 3  # the type it should have; some writers give it the longer one
_HAS_MARK = rb"\C*(?:%s)\C*" % b"|".join(MARKS).replace(b"\0", rb"\x00")
_SMALL = 1 << 16  # bytes; a search for the marks costs less than a walk through the segments up to there
_MOST_SEGMENTS = 512
_PADDING = 32  # bytes after the last, so that reading there is no error


def orientation(encoded: tf.Tensor, is_png: tf.Tensor) -> tf.Tensor:
    """Finds the Exif orientation: in a JPEG's APP1 segment or a PNG's eXIf chunk, wherever that stands.

    Args:
        encoded: string scalar, JPEG or PNG.
        is_png: bool scalar.

    Returns:
        int64 scalar, 1 to 8; 1 where the picture has none, or none that can be read.
    """
    is_large = tf.strings.length(encoded) > _SMALL
    has_mark = tf.cond(is_large, lambda: True, lambda: tf.strings.regex_full_match(encoded, _HAS_MARK))

    def read() -> tf.Tensor:
        data = tf.pad(tf.io.decode_raw(encoded, tf.uint8), [[0, _PADDING]])
        start = tf.cond(is_png, lambda: _png_exif(data), lambda: _jpeg_exif(data))
        return tf.cond(start > 0, lambda: _entry(data[start:]), lambda: tf.constant(UPRIGHT, tf.int64))

    return tf.cond(has_mark, read, lambda: tf.constant(UPRIGHT, tf.int64))


def turn(picture: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns a square picture [n, n, c] upright."""

    def turned() -> tf.Tensor:
        # Orientations 5 to 8 exchange rows and columns; which sides are flipped after that is the standard's table.
        square = tf.cond(orientation >= 5, lambda: tf.transpose(picture, [1, 0, 2]), lambda: picture)
        flip_columns = tf.reduce_any(orientation == tf.constant([2, 3, 6, 7], tf.int64))
        flip_rows = tf.reduce_any(orientation == tf.constant([3, 4, 7, 8], tf.int64))
        square = tf.cond(flip_columns, lambda: tf.reverse(square, [1]), lambda: square)
        return tf.cond(flip_rows, lambda: tf.reverse(square, [0]), lambda: square)

    return tf.cond(orientation == UPRIGHT, lambda: picture, turned)


def _jpeg_exif(data: tf.Tensor) -> tf.Tensor:
    """Where the Exif data of a JPEG begin; 0 where there are none before its scan."""

    def is_exif(at: tf.Tensor) -> tf.Tensor:
        return _is(data, at, b"\xff\xe1") & _is(data, at + 4, b"Exif\0\0")

    def is_other(at: tf.Tensor) -> tf.Tensor:
        return _is(data, at, b"\xff") & ~_is(data, at, b"\xff\xda") & ~is_exif(at)

    def length(at: tf.Tensor) -> tf.Tensor:
        # Any number of 0xFF may stand before a marker.
        return tf.where(_is(data, at, b"\xff\xff"), tf.constant(1, tf.int64), 2 + _number(data, at + 2, 2))

    at = _walk(data, 2, is_other, length)
    return tf.where(is_exif(at), at + 10, tf.constant(0, tf.int64))


def _png_exif(data: tf.Tensor) -> tf.Tensor:
    """Likewise in a PNG, where they may also come last."""
    at = _walk(data, 8, lambda at: ~_is(data, at + 4, b"eXIf"), lambda at: 12 + _number(data, at, 4))
    return tf.where(_is(data, at + 4, b"eXIf"), at + 8, tf.constant(0, tf.int64))


def _walk(
    data: tf.Tensor, start: int, goes_on: Callable[[tf.Tensor], tf.Tensor], length: Callable[[tf.Tensor], tf.Tensor]
) -> tf.Tensor:
    """The first segment from `start` where it does not go on, int64 scalar; at most the end of the data."""
    end = tf.size(data, tf.int64) - _PADDING
    (at,) = tf.while_loop(
        lambda at: (at < end) & goes_on(at),
        lambda at: (tf.minimum(at + length(at), end),),
        (tf.constant(start, tf.int64),),
        maximum_iterations=_MOST_SEGMENTS,
    )
    return at


def _entry(tiff: tf.Tensor) -> tf.Tensor:
    """The orientation in the first directory of a TIFF block."""
    little = _is(tiff, 0, b"I")
    start = tf.minimum(_number(tiff, 4, 4, little), tf.size(tiff, tf.int64) - _PADDING)
    entries = tiff[start + 2 :][: 12 * _number(tiff, start, 2, little)]
    entries = tf.reshape(entries[: tf.size(entries) // 12 * 12], [-1, 12])
    tag = [_ORIENTATION % 256, _ORIENTATION // 256]
    at_tag = tf.reduce_all(entries[:, :2] == tf.cast(tf.where(little, tag, tag[::-1]), tf.uint8), axis=1)
    at = start + 2 + 12 * tf.reduce_sum(tf.where(at_tag)[:1, 0])
    is_short = _number(tiff, at + 2, 2, little) == _SHORT
    value = tf.where(is_short, _number(tiff, at + 8, 2, little), _number(tiff, at + 8, 4, little))
    return tf.where(tf.reduce_any(at_tag) & (value >= 1) & (value <= 8), value, tf.constant(UPRIGHT, tf.int64))


def _is(data: tf.Tensor, at: tf.Tensor, text: bytes) -> tf.Tensor:
    return tf.reduce_all(data[at : at + len(text)] == tf.constant(list(text), tf.uint8))


def _number(data: tf.Tensor, at: tf.Tensor, size: int, little: tf.Tensor | bool = False) -> tf.Tensor:
    """The whole number of `size` bytes there, int64 scalar."""
    digits = tf.cast(data[at : at + size], tf.int64)
    weights = [256**place for place in range(size)]
    return tf.reduce_sum(digits * tf.cast(tf.where(little, weights, weights[::-1]), tf.int64))
