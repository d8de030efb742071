"""What each stage costs as the catalogue grows: seconds per 1,000 rows, and peak memory. Both should stay flat.

    python -m benchmarks.scale [--data archive.zip] [--rows 1000 4000 16000 40000 200000]

With --data, sizes up to its own are parts of the real catalogue, larger ones are drawn. The network is
EfficientNet-Lite0 at 32 pixels with nothing balanced and nothing fine-tuned: features are as wide as in earnest, and as
many as there are pictures, but the convolutions do not drown the rest. Peak memory is that of the one process that
runs all stages, libraries included, measured anew for each stage.
"""

import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks import catalogues
from benchmarks.measure import (
    Cost,
    add_data,
    apart,
    gigabytes,
    median_cost,
    parser_of,
    ratio,
    said,
    scratch,
    show,
    take_turns,
)
from benchmarks.stages import recipe_of, run_stages

_ROWS, _QUICK = (1_000, 4_000, 16_000, 40_000, 200_000), (300, 1_200)
_SETTINGS = ("picture.size=32", "balance={}", "train.finetune=null", "train.head={epochs: 2, views: 1}")
_LAST = "evaluate"
_ALL = "all"
_NEARLY = 0.99  # of the rows asked for: the real catalogue is a little short of 40,000

Costs = Mapping[str, Cost]  # of each stage


def stages_at(data: Path | None, rows: int, folder: Path) -> Costs:
    """Runs a catalogue of that many rows up to the evaluation; returns what each stage took, and all together."""
    file, root = folder / f"{rows}.zip", folder / f"{rows}"
    if data and catalogues.rows_of(data) >= _NEARLY * rows:
        catalogues.part_of(data, file, rows)
    else:
        catalogues.drawn(file, rows)
    stages = apart(run_stages, recipe_of("six_class", *_SETTINGS), file, root, _LAST)
    file.unlink()
    shutil.rmtree(root)  # the next size needs the disk
    costs = {name: stage.cost for name, stage in stages.items()}
    return {**costs, _ALL: Cost(sum(c.seconds for c in costs.values()), max(c.peak for c in costs.values()))}


def rows_of(taken: Mapping[int, Costs]) -> list[list[str]]:
    """The rows of the table: a stage each, a column for each size, and how both figures grew.

    Args:
        taken: rows of the catalogue to the costs of its stages, in ascending order.
    """
    sizes = list(taken)
    base, last = base_of(sizes), sizes[-1]
    rows = []
    for stage in taken[last]:
        cells = [_cell(taken[size][stage], size) for size in sizes]
        time = ratio(taken[last][stage].seconds / last, taken[base][stage].seconds / base)
        memory = ratio(taken[last][stage].peak, taken[base][stage].peak)
        rows.append([stage, *cells, time, memory])
    return rows


def base_of(sizes: Sequence[int]) -> int:
    """What the largest catalogue is compared with: the second, where fixed costs weigh less than in the first."""
    return sizes[1] if len(sizes) > 2 else sizes[0]


def _cell(cost: Cost, rows: int) -> str:
    return f"{1000 * cost.seconds / rows:.2f} s, {gigabytes(cost.peak)}"


def main() -> None:
    """Prints the table."""
    parser = parser_of(__doc__, rounds=1)
    add_data(parser)
    parser.add_argument(
        "--rows", type=int, nargs="+", help=f"sizes [default: {_listed(_ROWS)}, quick: {_listed(_QUICK)}]"
    )
    options = parser.parse_args()
    sizes = sorted(options.rows or (_QUICK if options.quick else _ROWS))
    rounds = options.rounds or 1
    data = options.data.absolute() if options.data else None
    with scratch() as folder:
        taken = take_turns({f"{rows:,} rows": partial(stages_at, data, rows, folder) for rows in sizes}, rounds)
    medians = {
        rows: {stage: median_cost([each[stage] for each in runs]) for stage in runs[0]}
        for rows, runs in zip(sizes, taken.values(), strict=True)
    }
    show(
        f"Seconds per 1,000 rows and peak memory: {said(rounds)}",
        ("stage", *(f"{rows:,} rows" for rows in sizes), "time per row", "memory"),
        rows_of(medians),
        f"The last two columns compare {sizes[-1]:,} rows with {base_of(sizes):,}. Target: 200,000 rows below 6 GB.",
    )


def _listed(sizes: tuple[int, ...]) -> str:
    return " ".join(map(str, sizes))


if __name__ == "__main__":
    main()
