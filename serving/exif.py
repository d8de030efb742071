"""Which way up a picture is to be shown, read by the graph from its Exif data."""

import tensorflow as tf

from serving.segments import bytes_of, end_of, is_at, jpeg_segment, number, png_chunk

UPRIGHT = 1
MARKS = (b"Exif\0\0", b"eXIf")  # one of them is in every file that tells its orientation

_HAS_MARK = rb"\C*(?:%s)\C*" % b"|".join(MARKS).replace(b"\0", rb"\x00")
# Most JPEGs have JFIF's segment before their tables and nothing else: then the mark is near, if there is one.
_JFIF, _TABLES = b"\xff\xd8\xff\xe0\0\x10", b"\xff\xdb"
_NEAR, _FAR = 1 << 10, 1 << 16  # bytes to search; a longer file's segments are walked through, which costs less
_ORIENTATION = 0x0112  # the tag
_SHORT = 3  # the type it should have; some writers give it the longer one


def orientation(encoded: tf.Tensor, is_png: tf.Tensor) -> tf.Tensor:
    """Finds the Exif orientation: in a JPEG's APP1 segment or a PNG's eXIf chunk, wherever that stands.

    Of a picture, a string scalar, it is int64, 1 to 8; 1 where the picture has none, or none that can be read.
    """
    upright = lambda: tf.constant(UPRIGHT, tf.int64)  # noqa: E731
    is_plain = (tf.strings.substr(encoded, 0, 6) == _JFIF) & (tf.strings.substr(encoded, 20, 2) == _TABLES)
    searched = tf.strings.substr(encoded, 0, tf.where(is_plain, _NEAR, _FAR))
    is_long = tf.strings.length(searched) == _FAR
    has_mark = is_long | tf.strings.regex_full_match(searched, _HAS_MARK)

    return tf.cond(has_mark, lambda: _read(encoded, is_png), upright)


# A node of its own: lowered into the caller's graph, its many nodes would take time even where none is run.
@tf.function(experimental_attributes={"_noinline": True})
def _read(encoded: tf.Tensor, is_png: tf.Tensor) -> tf.Tensor:
    data = bytes_of(encoded)
    start = tf.cond(is_png, lambda: _png_exif(data), lambda: _jpeg_exif(data))
    return tf.cond(start > 0, lambda: _entry(data[start:]), lambda: tf.constant(UPRIGHT, tf.int64))


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
    """Where the Exif data of a JPEG begin, int64 scalar; 0 where there are none before its scan."""

    def is_exif(at: tf.Tensor) -> tf.Tensor:
        return is_at(data, at, b"\xff\xe1") & is_at(data, at + 4, MARKS[0])

    at = jpeg_segment(data, is_exif)
    return tf.where(is_exif(at), at + 10, tf.constant(0, tf.int64))


def _png_exif(data: tf.Tensor) -> tf.Tensor:
    at = png_chunk(data, MARKS[1])
    return tf.where(is_at(data, at + 4, MARKS[1]), at + 8, tf.constant(0, tf.int64))


def _entry(tiff: tf.Tensor) -> tf.Tensor:
    """The orientation in the first directory of a TIFF block."""
    little = is_at(tiff, tf.constant(0), b"I")
    start = tf.minimum(number(tiff, tf.constant(4), 4, little), end_of(tiff))
    entries = tiff[start + 2 :][: 12 * number(tiff, start, 2, little)]
    entries = tf.reshape(entries[: tf.size(entries) // 12 * 12], [-1, 12])
    tag = [_ORIENTATION % 256, _ORIENTATION // 256]
    at_tag = tf.reduce_all(entries[:, :2] == tf.cast(tf.where(little, tag, tag[::-1]), tf.uint8), axis=1)
    at = start + 2 + 12 * tf.reduce_sum(tf.where(at_tag)[:1, 0])
    is_short = number(tiff, at + 2, 2, little) == _SHORT
    value = tf.where(is_short, number(tiff, at + 8, 2, little), number(tiff, at + 8, 4, little))
    return tf.where(tf.reduce_any(at_tag) & (value >= 1) & (value <= 8), value, tf.constant(UPRIGHT, tf.int64))
