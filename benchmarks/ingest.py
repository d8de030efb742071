"""What ingest and Transform cost, beside a bare tf.data loop over the same pictures.

    python -m benchmarks.ingest [--data archive.zip] [--rows 39879] [--large 600]

Every row has a class here, so every picture is read. The bare loop does to small pictures what the product does to
them between the zip and the network: it decodes each and resizes it to 160 pixels, without antialiasing where it grows,
on all cores; and nothing else: no table, no labels, no checks, no split. Ingest and Transform leave encoded pictures on
disk, so what training adds to have the same pixels is a row of its own, the first read. Loading TensorFlow and TFX is
left out on both sides. Full-resolution pictures are 1800 × 2400 JPEGs; ingest shrinks them once, and the bare loop
decodes them at an eighth.
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
_DECODE, _RESIZE, _EIGHTH = "bare loop: decode", "bare loop: decode, resize", "bare loop: decode at an eighth"
_BOTH, _READ = "ingest and transform", "the first read"


def bare_loop(data: Path, resize: bool, eighth: bool) -> Cost:
    """Reads every picture of a catalogue and decodes it.

    Args:
        data: the catalogue.
        resize: whether pictures are resized.
        eighth: whether they are decoded at an eighth of their size.
    """
    import tensorflow as tf

    def work(encoded: tf.Tensor) -> tf.Tensor:
        picture = tf.io.decode_jpeg(encoded, channels=3, ratio=8 if eighth else 1)
        return tf.reduce_max(tf.image.resize(picture, [_SIDE, _SIDE]) if resize else picture)

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
    for _ in results:
        pass
    return Cost(time.perf_counter() - began, peak_memory())


def first_read(examples: Path) -> Cost:
    """Reads all examples as training does: decoded and resized."""
    from components.train.data import open_pictures

    reset_peak()
    began = time.perf_counter()
    for _ in open_pictures([str(examples / "Split-*" / "*")], balanced=False, size=_SIDE).batches(_AT_ONCE):
        pass
    return Cost(time.perf_counter() - began, peak_memory())


def ours(data: Path, root: Path, last: str) -> dict[str, Cost]:
    """Runs the pipeline up to `last` in a new root; returns the cost of each stage, and of the first read."""
    every = ("labels={column: masterCategory}", "validation.scarce=note")  # the real one has a class of one product
    recipe = recipe_of("six_class", *every, f"picture.size={_SIDE}")
    stages = apart(run_stages, recipe, data, Path(tempfile.mkdtemp(dir=root)), last)
    costs = {name: stage.cost for name, stage in stages.items()}
    if last == "transform":
        costs[_READ] = apart(first_read, stages[last].folders["transformed_examples"])
    return costs


def small_pictures(data: Path, folder: Path, rounds: int) -> list[list[str]]:
    """The rows of the table for pictures as they are in the catalogue."""
    taken = take_turns(
        {
            _DECODE: lambda: {"": apart(bare_loop, data, False, False)},
            _RESIZE: lambda: {"": apart(bare_loop, data, True, False)},
            _BOTH: lambda: ours(data, folder, "transform"),
        },
        rounds,
    )
    decode, bare = (median_cost([each[""] for each in taken[name]]) for name in (_DECODE, _RESIZE))
    ingest, transform, read = (
        median_cost([each[name] for each in taken[_BOTH]]) for name in ("ingest", "transform", _READ)
    )
    both = together(ingest, transform)
    count = catalogues.rows_of(data)
    return [
        line("small", _DECODE, decode, count, bare),
        line("small", _RESIZE, bare, count, bare),
        line("small", "ingest", ingest, count, bare),
        line("small", "transform", transform, count, bare),
        line("small", _BOTH, both, count, bare, "1.50 ×"),
        line("small", _READ, read, count, bare),
        line("small", f"{_BOTH} and {_READ}", together(both, read), count, bare),
    ]


def together(*costs: Cost) -> Cost:
    """One after the other."""
    return Cost(sum(cost.seconds for cost in costs), max(cost.peak for cost in costs))


def large_pictures(folder: Path, count: int, rounds: int) -> list[list[str]]:
    """The rows of the table for pictures in full resolution."""
    data = catalogues.large(folder / "large.zip", count)
    taken = take_turns(
        {
            _EIGHTH: lambda: {"": apart(bare_loop, data, False, True)},
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
        "Ratios are of time, to the bare loop that resizes (small) or decodes at an eighth (large).",
    )


if __name__ == "__main__":
    main()
