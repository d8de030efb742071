"""Would more pictures help? Accuracy against the share of the training pictures, all else equal.

    python -m benchmarks.learning_curve [--data archive.zip] [--recipe article_type] [--set KEY=VALUE ...]
                                        [--shares 0.125 0.25 0.5 1]

A share holds the smaller ones, and the eval split is the same for each. Where the curve still rises at its end, more
pictures are worth more than another network. Weights are those of EfficientNet-Lite0. Fine-tuning takes an hour where
there are many pictures: `--set train.finetune=null` leaves it out.
"""

import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

from benchmarks.measure import apart, parser_of, percent, ratio, said, scratch, show, take_turns
from benchmarks.stages import Training, add_task, examples_of, median_training, task_of, train_once

_SHARES, _QUICK_SHARES = (0.125, 0.25, 0.5, 1.0), (0.5, 1.0)


def thin(examples: Path, folder: Path, share: float) -> int:
    """Leaves a share of the training examples, by the hash of each, beside the whole eval split.

    Args:
        examples: folder of the splits that Transform has written.
        folder: where the same is written with less in it; it must not exist.
        share: above 0, at most 1.

    Returns:
        How many training examples are left.
    """
    import tensorflow as tf

    (folder / "Split-train").mkdir(parents=True)
    (folder / "Split-eval").symlink_to(examples / "Split-eval")
    gzip = tf.io.TFRecordOptions(compression_type="GZIP")
    files = sorted(str(file) for file in (examples / "Split-train").iterdir())
    kept = 0
    with tf.io.TFRecordWriter(str(folder / "Split-train" / "examples.gz"), gzip) as writer:
        for record in tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator():
            if int.from_bytes(hashlib.blake2b(record, digest_size=4).digest(), "big") < share * 2**32:
                writer.write(record)
                kept += 1
    return kept


def rows_of(trained: Mapping[float, Training], counts: Mapping[float, int]) -> list[list[str]]:
    """The rows of the table: a share each, in ascending order.

    Args:
        trained: share to what its training reached.
        counts: share to the number of its pictures.
    """
    whole = trained[max(trained)]
    return [
        [
            percent(share), f"{counts[share]:,}", f"{each.cost.seconds:.0f}", percent(each.accuracy),
            ratio(1 - each.accuracy, 1 - whole.accuracy),
        ]
        for share, each in sorted(trained.items())
    ]  # fmt: skip


def main() -> None:
    """Prints the table."""
    parser = parser_of(__doc__, rounds=1)
    add_task(parser, "article_type")
    parser.add_argument("--shares", type=float, nargs="+", help="above 0, at most 1")
    options = parser.parse_args()
    task, rounds = task_of(options), options.rounds or 1
    recipe = task.recipe()
    shares = sorted(options.shares or (_QUICK_SHARES if options.quick else _SHARES))
    if not all(0 < share <= 1 for share in shares):
        parser.error("--shares: give numbers above 0 and at most 1, e.g. 0.25 0.5 1")
    with scratch() as folder:
        examples = examples_of(recipe, task.catalogue(folder), folder)
        parts = {share: folder / f"share-{share}" for share in shares}
        counts = {share: apart(thin, examples, part, share) for share, part in parts.items()}

        def training_on(share: float) -> Training:
            work = Path(mkdtemp(dir=folder))
            return apart(train_once, recipe.model, recipe.train, recipe.picture.size, parts[share], work)

        taken = take_turns({str(share): partial(training_on, share) for share in shares}, rounds)
    trained = {share: median_training(taken[str(share)]) for share in shares}
    show(
        f"{task.name}: accuracy by the number of training pictures: {said(rounds)}",
        ("share", "pictures", "s", "eval accuracy", "errors to the last"),
        rows_of(trained, counts),
    )


if __name__ == "__main__":
    main()
