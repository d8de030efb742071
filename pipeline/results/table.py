"""The table of results as Markdown, and its place in a file."""

import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from components.errors import RecipeError
from pipeline.results.rows import Result, Row
from pipeline.textfile import read_text, replace_text

BEGIN, END = "<!-- results: written by `fashion results`, not by hand -->", "<!-- end of results -->"

_COLUMNS = (
    "recipe", "data", "split", "seed", "accuracy", "macro-F1", "macro-AUPRC", "worst class", "accepted",
    "foreign accepted", "time", "memory", "machine", "commit",
)  # fmt: skip
_LEGEND = (
    "On the split `test`, by pictures alone; lines below the accuracy are of further columns, with names where a model "
    "reads them. The worst class is that of the lowest recall. Accepted is the share of pictures that the "
    "model is sure enough of, and how often it is right then; foreign pictures are of no class, of kinds that training "
    "has seen and has not. ± is the standard deviation over seeds. Time is the mean of all stages, none of them taken "
    "from the cache, without start-up; memory is the most resident memory of any stage. A + marks a commit with "
    "changes that were not committed."
)

_EARLIER = "Of an earlier split: tested on other products of the same catalogue than a run of today would be."


def as_markdown(rows: Sequence[Row]) -> str:
    """The rows as Markdown with a legend, those of an earlier split in a table of their own; what is not known is –."""
    earlier = [row for row in rows if not row.tested_anew]
    text = f"{_table(row for row in rows if row.tested_anew)}\n{_LEGEND}\n"
    return f"{text}\n{_EARLIER}\n\n{_table(earlier)}" if earlier else text


def _table(rows: Iterable[Row]) -> str:
    lines = [_COLUMNS, tuple("---" for _ in _COLUMNS), *map(_cells, rows)]
    return "".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |\n" for cells in lines)


def write_between_marks(text: str, file: Path) -> None:
    """Replaces what stands between the two marks in a file, the lines `BEGIN` and `END`.

    Raises:
        RecipeError: the file cannot be read or written, or does not hold each mark once.
    """
    before = read_text("--write", file)
    head, begin, rest = before.partition(f"{BEGIN}\n")
    _, end, tail = rest.partition(f"{END}\n")
    if not begin or not end or BEGIN in rest or END in head + tail:
        raise RecipeError(
            f"--write {file}: the table has no place there; write these two lines where it is to stand:\n{BEGIN}\n{END}"
        )
    replace_text("--write", file, f"{head}{begin}{text}{end}{tail}")


def _cells(row: Row) -> tuple[str, ...]:
    name = "<br>".join(
        [f"`{row.recipe}`", *(f"`{path}={'null' if value is None else value}`" for path, value in row.changes.items())]
    )
    results = row.results
    if not results:
        return (name, f"not run here: {row.reason or 'no run of it has come to its end'}", *("" for _ in _COLUMNS[2:]))
    if any(result.refused for result in results):
        name += "<br>refused by its gate"
    return (
        name,
        results[0].data,
        _split(results[0]),
        ", ".join(str(result.seed) for result in results),
        "<br>".join(
            [
                f"{_percent(result.accuracy for result in results)} of "
                f"{_joined(f'{result.examples:,}' for result in results)}",
                *(f"{tag} {_percent(result.tags.get(tag) for result in results)}" for tag in results[-1].tags),
            ]
        ),
        _percent(result.macro_f1 for result in results),
        _spread([result.macro_auprc for result in results], 4, ""),
        f"{_percent(result.worst for result in results)} {_joined(result.worst_class for result in results)}",
        _both(results, ("accepted", ""), ("accepted_accuracy", " right")),
        _both(results, ("outsiders", ""), ("unseen_outsiders", "")),
        _time([result.seconds for result in results]),
        _memory([result.peak_memory for result in results]),
        _joined(map(_machine, results)),
        _joined(map(_commit, results)),
    )


def _both(results: Sequence[Result], *parts: tuple[str, str]) -> str:
    """Two shares with a comma between them, each with what it is; – where neither is known."""
    shares = [(_percent(getattr(result, name) for result in results), unit) for name, unit in parts]
    known = [f"{share}{unit}" for share, unit in shares if share != "–"]
    return ", ".join(known) or "–"


def _split(result: Result) -> str:
    split = {path.removeprefix("split."): value for path, value in result.settings.items() if path.startswith("split.")}
    fixed = split["by"] != "picture"  # the test pictures are not a share of the others then
    shares = "/".join(str(split[name]) for name in ("train", "eval", *([] if fixed else ["test"])))
    return f"{split['by']} {shares}"


def _percent(shares: Iterable[float | None]) -> str:
    return _spread([None if share is None else 100 * share for share in shares], 1, " %")


def _spread(values: Sequence[float | None], decimals: int, unit: str) -> str:
    """`98.8 ± 0.1 %`; the sample standard deviation, and none of a single value."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known or len(known) < len(values):
        return "–"
    mean = f"{statistics.fmean(known):.{decimals}f}"
    return f"{mean}{unit}" if len(known) == 1 else f"{mean} ± {statistics.stdev(known):.{decimals}f}{unit}"


def _time(seconds: Sequence[float | None]) -> str:
    known = [each for each in seconds if each is not None]
    if len(known) < len(seconds):
        return "–"
    minutes, rest = divmod(round(statistics.fmean(known)), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


def _memory(peaks: Sequence[int | None]) -> str:
    known = [peak for peak in peaks if peak is not None]
    return f"{max(known) / 2**30:.1f} GiB" if known else "–"


def _machine(result: Result) -> str:
    footprint = result.footprint
    if footprint is None:
        return "–"
    also = "" if footprint.accelerators == "none" else f", {footprint.accelerators}"
    return f"{footprint.processor}, {footprint.cores} cores{also}"


def _commit(result: Result) -> str:
    footprint = result.footprint
    return f"{footprint.commit[:7]}{'+' if footprint.modified else ''}" if footprint and footprint.commit else "–"


def _joined(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(texts))
