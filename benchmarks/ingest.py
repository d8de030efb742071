"""What ingest and Transform cost, beside a bare tf.data loop over the same pictures.

    python -m benchmarks.ingest [--data archive.zip] [--rows 39879] [--large 600]

Every row has a class here, so every picture is read. The bare loops read, decode, resize to 160 pixels, encode and
write on all cores, and do nothing else: no table, no labels, no checks, no split. Loading TensorFlow and TFX is left
out on both sides. Full-resolution pictures are 1800 × 2400 JPEGs, and the bare loop decodes them at an eighth.
"""

import tempfile
import time
from pathlib import Path

from benchmarks import catalogues
from benchmarks.measure import (
    Cost,
    add_data,
    apart,
    gigabytes,
    median_cost,
    parser_of,
    peak_memory,
    ratio,
    reset_peak,
    said,
    scratch,
    show,
    take_turns,
)
from benchmarks.stages import recipe_of, run_stages

_SIDE = 160
_AT_ONCE = 256  # encoded pictures handed over together
_DECODE, _ENCODE = "bare loop: decode", "bare loop: decode, resize, encode"
_EIGHTH, _BOTH = "bare loop: decode at an eighth", "ingest and transform"


def bare_loop(data: Path, out: Path, encode: bool, eighth: bool) -> Cost:
    """Reads every picture of a catalogue and decodes it.

    Args:
        data: the catalogue.
        out: file for the results.
        encode: whether pictures are resized, encoded again and written.
        eighth: whether they are decoded at an eighth of their size.
    """
    import tensorflow as tf

    def work(encoded: tf.Tensor) -> tf.Tensor:
        picture = tf.io.decode_jpeg(encoded, channels=3, ratio=8 if eighth else 1)
        if not encode:
            return tf.reduce_max(picture)
        resized = tf.cast(tf.image.resize(picture, [_SIDE, _SIDE], antialias=True), tf.uint8)
        return tf.io.encode_jpeg(resized, quality=95)

    reset_peak()
    began = time.perf_counter()
    results = (
        tf.data.Dataset.from_generator(
            lambda: catalogues.pictures_of(data), output_signature=tf.TensorSpec([], tf.string)
        )
        .map(work, num_parallel_calls=tf.data.AUTOTUNE, deterministic=False)
        .ignore_errors()
        .batch(_AT_ONCE)
        .prefetch(tf.data.AUTOTUNE)
    )
    with tf.io.TFRecordWriter(str(out)) as writer:
        for batch in results.as_numpy_iterator():
            for result in batch if encode else ():
                writer.write(result)
    return Cost(time.perf_counter() - began, peak_memory())


def ours(data: Path, root: Path, last: str) -> dict[str, Cost]:
    """Runs the pipeline up to `last` in a new root; returns the cost of each stage."""
    every = ("labels={column: masterCategory}", "validation.scarce=note")  # the real one has a class of one product
    recipe = recipe_of("six_class", *every, f"picture.size={_SIDE}")
    stages = apart(run_stages, recipe, data, Path(tempfile.mkdtemp(dir=root)), last)
    return {name: stage.cost for name, stage in stages.items()}


def small_pictures(data: Path, folder: Path, rounds: int) -> list[list[str]]:
    """The rows of the table for pictures as they are in the catalogue."""
    taken = take_turns(
        {
            _DECODE: lambda: {"": apart(bare_loop, data, folder / "bare", False, False)},
            _ENCODE: lambda: {"": apart(bare_loop, data, folder / "bare", True, False)},
            _BOTH: lambda: ours(data, folder, "transform"),
        },
        rounds,
    )
    decode, encode = (median_cost([each[""] for each in taken[name]]) for name in (_DECODE, _ENCODE))
    ingest, transform = (median_cost([each[name] for each in taken[_BOTH]]) for name in ("ingest", "transform"))
    both = Cost(ingest.seconds + transform.seconds, max(ingest.peak, transform.peak))
    count = catalogues.rows_of(data)
    return [
        line("small", _DECODE, decode, count, encode),
        line("small", _ENCODE, encode, count, encode),
        line("small", "ingest", ingest, count, encode),
        line("small", "transform", transform, count, encode),
        line("small", _BOTH, both, count, encode, "2.00 ×"),
    ]


def large_pictures(folder: Path, count: int, rounds: int) -> list[list[str]]:
    """The rows of the table for pictures in full resolution."""
    data = catalogues.large(folder / "large.zip", count)
    taken = take_turns(
        {
            _EIGHTH: lambda: {"": apart(bare_loop, data, folder / "bare", False, True)},
            "ingest": lambda: ours(data, folder, "ingest"),
        },
        rounds,
    )
    bare = median_cost([each[""] for each in taken[_EIGHTH]])
    ingest = median_cost([each["ingest"] for each in taken["ingest"]])
    return [line("large", _EIGHTH, bare, count, bare), line("large", "ingest", ingest, count, bare, "1.20 ×")]


def line(pictures: str, what: str, cost: Cost, count: int, base: Cost, target: str = "") -> list[str]:
    """One row of the table."""
    return [
        f"{pictures}: {what}", f"{count:,}", f"{cost.seconds:.1f}", f"{count / cost.seconds:,.0f}",
        ratio(cost.seconds, base.seconds), target, gigabytes(cost.peak),
    ]  # fmt: skip


def main() -> None:
    """Prints the table."""
    parser = parser_of(__doc__, rounds=3)
    add_data(parser)
    parser.add_argument("--rows", type=int, help="drawn products, without --data [default: 20000, quick: 1000]")
    parser.add_argument("--large", type=int, help="pictures in full resolution [default: 600, quick: 60]")
    options = parser.parse_args()
    rounds = options.rounds or (1 if options.quick else 3)
    with scratch() as folder:
        data = options.data or catalogues.drawn(
            folder / "drawn.zip", options.rows or (1000 if options.quick else 20000)
        )
        rows = [
            *small_pictures(data.absolute(), folder, rounds),
            *large_pictures(folder, options.large or (60 if options.quick else 600), rounds),
        ]
    show(
        f"Ingest and Transform against a bare tf.data loop: {said(rounds)}",
        ("pictures: what is done", "rows", "s", "rows/s", "ratio", "target", "peak"),
        rows,
        "Ratios are of time, to the bare loop that encodes (small) or decodes at an eighth (large).",
    )


if __name__ == "__main__":
    main()
