"""From encoded bytes to the network's input: the one decoder of training, evaluation and the published model."""

import tensorflow as tf

from serving.exif import orientation, turn
from serving.limits import DECODE_BYTES, PNG, RATIOS, jpeg_shape, jpeg_step, refusal, starts_with

_STRIPE = 1 << 18  # pixels that are laid on white and shrunk at a time; 20 bytes each while that lasts
_PARALLEL = 8  # pictures of a batch decoded at once, as far as there are threads


def decode_pictures(
    image_bytes: tf.Tensor, size: int, max_pixels: int, max_bytes: int = DECODE_BYTES
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes and resizes a batch, each picture on its own: a bad one fails its row and no other.

    Graph code; runs eagerly, in a `tf.function`, in a `tf.data` map and in a SavedModel under TensorFlow Serving.
    Accepts JPEG and PNG. Transparency is laid on white; grey, palette, CMYK and 16-bit pictures become RGB; a picture
    is turned as its Exif orientation says. Colour profiles are not read: every picture is taken for sRGB. The whole
    picture is resized to a square, so its aspect is not kept; that is what the published recipes for this data do.

    Args:
        image_bytes: string [n], encoded pictures; n may be 0.
        size: side of the result, pixels.
        max_pixels: a picture of more pixels is refused by its header, undecoded;
        max_bytes: likewise one that takes more memory to decode. A row takes up to 25 MB beyond that, and three times
            its own bytes; 8 rows are decoded at once.

    Returns:
        pictures: float32 [n, size, size, 3], RGB, whole numbers in 0..255; zeros in rows with an error.
        error: string [n], one sentence for the sender; empty where all is well.
    """
    nothing = tf.zeros([size, size, 3], tf.uint8)

    def row(index: tf.Tensor, encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        error = refusal(encoded, size, max_pixels, max_bytes)
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

    Of a JPEG or PNG, a string scalar, it makes uint8 [size, size, 3], RGB.

    Raises:
        tf.errors.InvalidArgumentError: when run, if the picture cannot be decoded.
    """
    is_png = starts_with(encoded, PNG)
    resized = tf.cond(
        is_png,
        lambda: _png_square(encoded, size),
        lambda: _jpeg_square(encoded, size),
    )
    turned = turn(resized, orientation(encoded, is_png))
    return tf.ensure_shape(tf.cast(turned + 0.5, tf.uint8), [size, size, 3])


def decode_jpeg(encoded: tf.Tensor, ratio: int) -> tf.Tensor:
    """Decodes a JPEG to uint8 [h, w, 3], RGB, not turned, shrunk by one of `RATIOS`."""
    return tf.io.decode_jpeg(encoded, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")


def decode_png(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a PNG to uint8 [h, w, 4], RGBA, not turned."""
    rgba = tf.io.decode_png(encoded, channels=4)
    alpha = rgba[..., 3:]
    opaque = tf.where(alpha > 0, tf.constant(255, tf.uint8), alpha)
    return tf.cond(_is_coarse_grey(encoded), lambda: tf.concat([rgba[..., :3], opaque], axis=-1), lambda: rgba)


def _is_coarse_grey(encoded: tf.Tensor) -> tf.Tensor:
    """Whether a PNG is grey of 1, 2 or 4 bits: TensorFlow makes up an alpha of 1, 3 or 15 then where there is none."""
    kind = tf.io.decode_raw(tf.strings.substr(encoded, 24, 2), tf.uint8)
    return (kind[0] < 8) & (kind[1] == 0)


def _png_square(encoded: tf.Tensor, size: int) -> tf.Tensor:
    """float32 [size, size, 3], on white.

    Some rows are shrunk at a time: as a whole in float32 a picture would take five times its own memory.
    """
    rgba = tf.io.decode_png(encoded, channels=4)
    is_coarse = _is_coarse_grey(encoded)

    def on_white(stripe: tf.Tensor) -> tf.Tensor:
        colour, alpha = tf.cast(stripe[..., :3], tf.float32), stripe[..., 3:]
        opacity = tf.where(is_coarse, tf.cast(alpha > 0, tf.float32), tf.cast(alpha, tf.float32) / 255.0)
        return colour * opacity + 255.0 * (1.0 - opacity)

    def narrowed(stripe: tf.Tensor) -> tf.Tensor:
        is_opaque = tf.reduce_min(stripe[..., 3]) == 255
        resized = lambda part: _resized(part, tf.shape(part)[0], size)  # noqa: E731
        return tf.cond(is_opaque, lambda: resized(stripe[..., :3]), lambda: resized(on_white(stripe)))

    step = tf.maximum(_STRIPE // tf.shape(rgba)[1], 1)
    count = -(-tf.shape(rgba)[0] // step)
    stripes = tf.TensorArray(tf.float32, count, infer_shape=False, element_shape=[None, size, 3])
    _, stripes = tf.while_loop(
        lambda number, _: number < count,
        lambda number, done: (number + 1, done.write(number, narrowed(rgba[number * step : (number + 1) * step]))),
        (0, stripes),
        parallel_iterations=1,
    )
    return _resized(stripes.concat(), size, size)


def _jpeg_square(encoded: tf.Tensor, size: int) -> tf.Tensor:
    """float32 [size, size, 3], shrunk while decoding as far as both sides stay at least `size`."""
    ways = [lambda ratio=ratio: decode_jpeg(encoded, ratio) for ratio in RATIOS]
    return _resized(tf.switch_case(jpeg_step(jpeg_shape(encoded), size), ways), size, size)


def _resized(picture: tf.Tensor, height: tf.Tensor | int, width: int) -> tf.Tensor:
    """float32 [height, width, 3]."""
    size = tf.stack([height, width])
    # Where nothing shrinks antialiasing changes nothing, but takes three times as long.
    shrinks = tf.reduce_any(tf.shape(picture)[:2] > size)
    resized = tf.cond(
        shrinks, lambda: tf.image.resize(picture, size, antialias=True), lambda: tf.image.resize(picture, size)
    )
    return tf.ensure_shape(resized, [None, width, 3])


def _options() -> tf.data.Options:
    # A pipeline of one batch ends before tuning or rewriting it could pay.
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return options
