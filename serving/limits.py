"""Why the graph does not even decode a picture: what it is not, and what decoding it would take."""

import tensorflow as tf

from serving.segments import bytes_of, is_at, jpeg_segment

DECODE_BYTES = 100_000_000  # for one picture

JPEG = b"\xff\xd8\xff"
PNG = b"\x89PNG\r\n\x1a\n"
# What else arrives as a picture, by offset and leading bytes, to be refused by name. GIF is among them because
# TensorFlow decodes all frames, of any size, before it returns the first: a bomb its header does not announce.
_OTHER_FORMATS = (
    (8, b"WEBP", "WebP"), (0, b"GIF8", "GIF"), (0, b"BM", "BMP"), (0, b"II*\0", "TIFF"), (0, b"MM\0*", "TIFF"),
    (4, b"ftypavif", "AVIF"), (4, b"ftyphei", "HEIC"),
)  # fmt: skip
_HEAD = 32  # bytes of a file that tell its format and, for PNG, its size
_PNG_BYTES = 4  # a pixel, whatever its colour type and depth: all PNG is decoded to RGBA
RATIOS = (1, 2, 4, 8)  # by which libjpeg can shrink while it decodes
_HELD_BYTES = 2  # a pixel and colour of a JPEG whose coefficients are all held until its last scan


def refusal(encoded: tf.Tensor, size: int, max_pixels: int, max_bytes: int) -> tf.Tensor:
    """Tells why a picture, a string scalar, is not even decoded; "" if there is no reason.

    It has more than `max_pixels`, or takes more memory than `max_bytes` to decode, where a JPEG is shrunk as far as
    possible to a side of `size` pixels meanwhile. Fails itself where a header is damaged.
    """
    head = tf.strings.substr(encoded, 0, _HEAD) + tf.constant(b"\0" * _HEAD)
    is_png, is_jpeg = starts_with(encoded, PNG), starts_with(encoded, JPEG)

    def too_large() -> tf.Tensor:
        shape = tf.cond(is_png, lambda: _png_shape(head), lambda: jpeg_shape(encoded))
        pixels = shape[0] * shape[1]
        needed = tf.cond(is_png, lambda: pixels * _PNG_BYTES, lambda: _jpeg_bytes(encoded, shape, size, max_bytes))

        def message() -> tf.Tensor:
            height, width, _ = tf.unstack(tf.strings.as_string(shape))
            megabytes = tf.strings.as_string(-(-needed // 1_000_000))
            many = f"more than {max_pixels:,} in all"
            heavy = tf.strings.join(["which take ", megabytes, f" MB to decode, more than {max_bytes // 1_000_000}"])
            limit = tf.where(pixels > max_pixels, many, heavy)
            return tf.strings.join(
                ["the picture has ", width, " x ", height, " pixels, ", limit, ": send a smaller one"]
            )

        return tf.cond((pixels > max_pixels) | (needed > max_bytes), message, lambda: "")

    empty = "the picture is empty: send JPEG or PNG"
    return tf.cond(
        is_png | is_jpeg, too_large, lambda: tf.where(tf.strings.length(encoded) == 0, empty, _unknown(head))
    )


def starts_with(encoded: tf.Tensor, magic: bytes) -> tf.Tensor:
    """Tells whether a file is of a format, bool scalar."""
    return tf.strings.substr(encoded, 0, len(magic)) == magic


def jpeg_shape(encoded: tf.Tensor) -> tf.Tensor:
    """Reads height, width and the number of colours from a JPEG's header, int64 [3]."""
    return tf.io.extract_jpeg_shape(encoded, tf.int64)


def jpeg_step(shape: tf.Tensor, size: int) -> tf.Tensor:
    """Returns the largest of `RATIOS` by which both sides stay at least `size`, as its place among them."""
    room = tf.reduce_min(shape[:2]) // size
    return tf.reduce_sum(tf.cast(room >= tf.constant(RATIOS[1:], tf.int64), tf.int32))


def _jpeg_bytes(encoded: tf.Tensor, shape: tf.Tensor, size: int, max_bytes: int) -> tf.Tensor:
    """What decoding a JPEG takes, and resizing it, which works with float32 columns of the final height."""
    ratio = tf.gather(tf.constant(RATIOS, tf.int64), jpeg_step(shape, size))
    height, width = shape[0] // ratio, shape[1] // ratio
    shrunk = 3 * height * width + 12 * size * width
    held = _HELD_BYTES * tf.reduce_prod(shape)
    is_held = tf.cond(held > max_bytes, lambda: _has_several_scans(encoded), lambda: False)
    return tf.where(is_held, held, 0) + shrunk


def _has_several_scans(encoded: tf.Tensor) -> tf.Tensor:
    """Whether a JPEG is progressive, or its first scan lacks a colour; also where that cannot be found out."""
    data = bytes_of(encoded)

    def is_frame(at: tf.Tensor) -> tf.Tensor:
        return is_at(data, at, b"\xff\xc0") | is_at(data, at, b"\xff\xc1")

    frame, scan = jpeg_segment(data, is_frame), jpeg_segment(data, lambda _: tf.constant(False))
    is_whole = is_at(data, scan, b"\xff\xda") & (data[frame + 9] == data[scan + 4])
    return ~(is_frame(frame) & is_whole)


def _unknown(head: tf.Tensor) -> tf.Tensor:
    message = tf.constant("this is not a picture in a known format: send JPEG or PNG")
    for offset, magic, name in _OTHER_FORMATS:
        is_this = tf.strings.substr(head, offset, len(magic)) == magic
        message = tf.where(is_this, f"{name} is not supported: send JPEG or PNG", message)
    return message


def _png_shape(head: tf.Tensor) -> tf.Tensor:
    """Height, width and colours, int64 [3]."""
    size = tf.ensure_shape(tf.io.decode_raw(tf.strings.substr(head, 16, 8), tf.int32, little_endian=False), [2])
    return tf.stack([*tf.unstack(tf.cast(size, tf.int64))[::-1], tf.constant(4, tf.int64)])
