"""From encoded bytes to the network's input: the one decoder of training, evaluation and the published model."""

import tensorflow as tf

from serving.exif import orientation, turn

# What else arrives as a picture, by offset and leading bytes, to be refused by name. GIF is among them because
# TensorFlow decodes all frames, of any size, before it returns the first: a bomb its header does not announce.
_OTHER_FORMATS = (
    (8, b"WEBP", "WebP"),
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftyphei", "HEIC"),
)
JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
_HEAD = 32  # bytes of a file that tell its format and, for PNG, its size

RATIOS = (1, 2, 4, 8)  # by which libjpeg can shrink while it decodes
_PARALLEL = 8  # pictures of a batch decoded at once, as far as there are threads


def decode_pictures(image_bytes: tf.Tensor, size: int, max_pixels: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes and resizes a batch, each picture on its own: a bad one fails its row and no other.

    Graph code; runs eagerly, in a `tf.function`, in a `tf.data` map and in a SavedModel under TensorFlow Serving.
    Accepts JPEG and PNG. Transparency is laid on white; grey, palette, CMYK and 16-bit pictures become RGB; a picture
    is turned as its Exif orientation says. Colour profiles are not read: every picture is taken for sRGB. The whole
    picture is resized to a square, so its aspect is not kept; that is what the published recipes for this data do.

    Args:
        image_bytes: string [n], encoded pictures; n may be 0.
        size: side of the result, pixels.
        max_pixels: a picture of more pixels is refused by its header, undecoded.

    Returns:
        pictures: float32 [n, size, size, 3], RGB, whole numbers in 0..255; zeros in rows with an error.
        error: string [n], one sentence for the sender; empty where all is well.
    """
    nothing = tf.zeros([size, size, 3], tf.uint8)

    def row(index: tf.Tensor, encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        error = _refusal(encoded, max_pixels)
        picture = tf.cond(error == "", lambda: decode_trusted(encoded, size), lambda: nothing)
        return index, picture, error

    n = tf.size(image_bytes)
    # Takes the place of rows that fail, and is there to be batched even if every row does.
    spare = tf.data.Dataset.from_tensors((n, nothing, "the picture is damaged or cut off: send a complete JPEG or PNG"))
    rows = (
        tf.data.Dataset.from_tensor_slices((tf.range(n), image_bytes))
        .map(row, num_parallel_calls=_PARALLEL, deterministic=False)
        .ignore_errors()
        .concatenate(spare)
        .batch(tf.cast(n, tf.int64) + 1)
        .with_options(_options())
    )
    indices, pictures, errors = rows.get_single_element()
    arrived = tf.size(indices)
    place = tf.tensor_scatter_nd_update(tf.fill([n + 1], arrived - 1), indices[:, tf.newaxis], tf.range(arrived))[:n]
    return tf.cast(tf.gather(pictures, place), tf.float32), tf.gather(errors, place)


def decode_trusted(encoded: tf.Tensor, size: int) -> tf.Tensor:
    """Decodes and resizes one picture that ingest has checked: the same pixels as `decode_pictures`, bit for bit.

    Args:
        encoded: string scalar, JPEG or PNG.
        size: side of the result, pixels.

    Returns:
        uint8 [size, size, 3], RGB.

    Raises:
        tf.errors.InvalidArgumentError: when run, if the picture cannot be decoded.
    """
    is_png = _is_png(encoded)
    resized = tf.cond(
        is_png,
        lambda: _resized(_on_white(decode_png(encoded)), size),
        lambda: _resized(_shrunk_jpeg(encoded, size), size),
    )
    turned = turn(resized, orientation(encoded, is_png))
    return tf.ensure_shape(tf.cast(turned + 0.5, tf.uint8), [size, size, 3])


def decode_jpeg(encoded: tf.Tensor, ratio: int) -> tf.Tensor:
    """Decodes a JPEG to uint8 [h, w, 3], RGB, not turned, shrunk by one of `RATIOS`."""
    return tf.io.decode_jpeg(encoded, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")


def decode_png(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a PNG to uint8 [h, w, 4], RGBA, not turned."""
    rgba = tf.io.decode_png(encoded, channels=4)
    kind = tf.io.decode_raw(tf.strings.substr(encoded, 24, 2), tf.uint8)

    def mended() -> tf.Tensor:
        return tf.concat([rgba[..., :3], tf.where(rgba[..., 3:] > 0, tf.constant(255, tf.uint8), 0)], axis=-1)

    # For grey of 1, 2 or 4 bits that is opaque TensorFlow makes up an alpha of 1, 3 or 15: all but transparent.
    return tf.cond((kind[0] < 8) & (kind[1] == 0), mended, lambda: rgba)


def _is_png(encoded: tf.Tensor) -> tf.Tensor:
    return tf.strings.substr(encoded, 0, len(_PNG)) == _PNG


def _refusal(encoded: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """Why a picture is not even decoded; "" if there is no reason. Fails itself where a header is damaged."""
    head = tf.strings.substr(encoded, 0, _HEAD) + tf.constant(b"\0" * _HEAD)
    is_png = tf.strings.substr(head, 0, len(_PNG)) == _PNG
    is_jpeg = tf.strings.substr(head, 0, len(JPEG)) == JPEG
    return tf.cond(
        is_png | is_jpeg,
        lambda: _too_large(tf.cond(is_png, lambda: _png_shape(head), lambda: _jpeg_shape(encoded)), max_pixels),
        lambda: tf.where(tf.strings.length(encoded) == 0, "the picture is empty: send JPEG or PNG", _unknown(head)),
    )


def _too_large(shape: tf.Tensor, max_pixels: int) -> tf.Tensor:
    text = tf.strings.as_string(shape)
    message = tf.strings.join(
        ["the picture has ", text[1], " x ", text[0], f" pixels, more than {max_pixels:,} in all: send a smaller one"]
    )
    return tf.where(tf.reduce_prod(shape) > max_pixels, message, "")


def _unknown(head: tf.Tensor) -> tf.Tensor:
    message = tf.constant("this is no picture in a known format: send JPEG or PNG")
    for offset, magic, name in _OTHER_FORMATS:
        is_this = tf.strings.substr(head, offset, len(magic)) == magic
        message = tf.where(is_this, f"{name} is not supported: send JPEG or PNG", message)
    return message


def _png_shape(head: tf.Tensor) -> tf.Tensor:
    """Height and width, int64 [2]."""
    size = tf.io.decode_raw(tf.strings.substr(head, 16, 8), tf.int32, little_endian=False)
    return tf.cast(tf.reverse(tf.ensure_shape(size, [2]), [0]), tf.int64)


def _jpeg_shape(encoded: tf.Tensor) -> tf.Tensor:
    """Height and width, int64 [2]."""
    return tf.cast(tf.io.extract_jpeg_shape(encoded)[:2], tf.int64)


def _on_white(rgba: tf.Tensor) -> tf.Tensor:
    """uint8 [h, w, 3]."""
    colour, alpha = rgba[..., :3], rgba[..., 3:]

    def blended() -> tf.Tensor:
        opacity = tf.cast(alpha, tf.float32) / 255.0
        return tf.cast(tf.cast(colour, tf.float32) * opacity + 255.0 * (1.0 - opacity) + 0.5, tf.uint8)

    return tf.cond(tf.reduce_all(alpha == 255), lambda: colour, blended)


def _shrunk_jpeg(encoded: tf.Tensor, size: int) -> tf.Tensor:
    """uint8 [h, w, 3], shrunk while decoding as far as both sides stay at least `size`."""
    room = tf.cast(tf.reduce_min(_jpeg_shape(encoded)) // size, tf.int32)
    step = tf.reduce_sum(tf.cast(room >= tf.constant(RATIOS[1:]), tf.int32))
    return tf.switch_case(step, [lambda ratio=ratio: decode_jpeg(encoded, ratio) for ratio in RATIOS])


def _resized(picture: tf.Tensor, size: int) -> tf.Tensor:
    """float32 [size, size, 3]."""
    # Where nothing shrinks antialiasing changes nothing, but takes three times as long.
    shrinks = tf.reduce_any(tf.shape(picture)[:2] > size)
    return tf.cond(
        shrinks,
        lambda: tf.image.resize(picture, [size, size], antialias=True),
        lambda: tf.image.resize(picture, [size, size]),
    )


def _options() -> tf.data.Options:
    # A pipeline of one batch ends before tuning or rewriting it could pay.
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return options
