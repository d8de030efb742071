r"""Does `fashion monitor` find what happens in production, on its day and by its name, and nothing in quiet weeks?

    python -m benchmarks.monitoring --data archive.zip --examples runs/artifacts/ingest/examples/1 \
      --model runs/serving/six_class/VERSION --cache answers

Traffic is drawn from pictures of the real catalogue that the model was not trained on: a week as it is, and then a week
of what happens. Answers are asked for once and kept in --cache, so that a second call takes a minute.
"""

import argparse
import datetime
import io
import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from fashion_client.answer_log import SCHEMA
from PIL import Image, ImageFilter
from pyarrow import parquet

from benchmarks.measure import percent, show
from components.examples import example_of, read_examples
from components.ingest.catalogue import open_catalogue
from components.ingest.table import Row, read_rows
from pipeline.monitor.baseline import answers
from pipeline.monitor.moves import Limits
from pipeline.monitor.tally import TRUTH, Tally, days
from pipeline.monitor.verdict import Verdict, judge

_FULL = SCHEMA.append(pa.field(TRUTH, pa.string()))
_PER_DAY, _WEEK = 500, 7
_START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_SLICES = "gender="  # by which shops' callers might divide their traffic
_NEW = "Bags"  # a sub-category of none of the six classes

Parts = Sequence[tuple[pa.Table, int]]


def darkened(picture: Image.Image) -> Image.Image:
    """Half as bright."""
    return picture.point(lambda value: value // 2)


def another_camera(picture: Image.Image) -> Image.Image:
    """Out of focus by a pixel, with warm white."""
    red, green, blue = picture.filter(ImageFilter.GaussianBlur(1)).split()
    channels = (red, green.point(lambda value: value * 0.96), blue.point(lambda value: value * 0.82))
    return Image.merge("RGB", channels)


def exchanged(picture: Image.Image) -> Image.Image:
    """Red for blue."""
    return Image.merge("RGB", picture.split()[::-1])


def encoded(change: Callable[[Image.Image], Image.Image]) -> Callable[[bytes], bytes]:
    """The same for encoded pictures; they become JPEG of quality 90."""

    def apply(data: bytes) -> bytes:
        stream = io.BytesIO()
        change(Image.open(io.BytesIO(data)).convert("RGB")).save(stream, "JPEG", quality=90)
        return stream.getvalue()

    return apply


def cached(cache: Path, name: str, rows: Callable[[], Iterator[dict[str, Any]]]) -> pa.Table:
    """A table of answers, asked for where the cache does not hold it yet."""
    file = cache / f"{name}.parquet"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pa.Table.from_pylist([*map(_kept, rows())], _FULL), file)
    return parquet.read_table(file, schema=_FULL)


def _kept(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"picture": None, "slices": [name for name in row["slices"] if name.startswith(_SLICES)]}


def new_products(data: Path, count: int) -> Iterator[bytes]:
    """Serialized examples of products that are of none of the classes."""
    catalogue = open_catalogue(str(data))
    found = (
        row
        for row in read_rows(catalogue, ["subCategory"])
        if isinstance(row, Row) and row.fields.get("subCategory") == _NEW
    )
    pictures = ((row.id, catalogue.read_picture(row)) for row in found)
    for product, picture in itertools.islice(((name, data) for name, data in pictures if data), count):
        yield example_of({"id": product.encode(), "image_bytes": picture})


def traffic(parts: Callable[[int], Parts], count: int, luck: np.random.Generator, first: int = 0) -> Iterator[pa.Table]:
    """Draws days of answers, each from its parts; the first of them is that many days after the start."""
    for day in range(count):
        drawn = [
            table.take(luck.choice(len(table), rows, replace=rows > len(table))) for table, rows in parts(day) if rows
        ]
        whole = pa.concat_tables(drawn).combine_chunks()
        times = [_START + datetime.timedelta(days=first + day, seconds=second) for second in range(len(whole))]
        yield whole.set_column(0, "time", pa.array(times, pa.timestamp("us", "UTC")))


def judged(tables: Sequence[pa.Table], baseline: Tally) -> Verdict:
    """What `fashion monitor` says of these days."""
    return judge(days(batch for table in tables for batch in table.to_batches()), baseline, Limits())


def accuracy(tables: Sequence[pa.Table]) -> float:
    """The share of right answers."""
    whole = pa.concat_tables(tables)
    right = pc.equal(whole["label"], whole[TRUTH]).fill_null(False)
    return float(pc.sum(right).as_py()) / len(whole)


def cases(asked: Mapping[str, pa.Table]) -> dict[str, tuple[Callable[[int], Parts], int]]:
    """What happens from the eighth day on: the parts of each day, counted from there, and for how many days."""
    quiet = asked["quiet"]
    is_shoe = pc.equal(quiet[TRUTH], "shoes")
    shoes, others = quiet.filter(is_shoe), quiet.filter(pc.invert(is_shoe))
    share = len(shoes) / len(quiet)

    def creeping(day: int) -> Parts:
        count = round(_PER_DAY * min(share + 0.01 * (day + 1), 1))
        return [(shoes, count), (others, _PER_DAY - count)]

    def new(part: float) -> Callable[[int], Parts]:
        count = round(part * _PER_DAY)
        return lambda day: [(asked["new"], count), (quiet, _PER_DAY - count)]

    return {
        "only shoes": (lambda day: [(shoes, _PER_DAY)], _WEEK),
        "darkened by half": (lambda day: [(asked["dark"], _PER_DAY)], _WEEK),
        "another camera": (lambda day: [(asked["camera"], _PER_DAY)], _WEEK),
        "red and blue exchanged": (lambda day: [(asked["exchanged"], _PER_DAY)], _WEEK),
        "a new category, 20 %": (new(0.2), _WEEK),
        "a new category, 10 %": (new(0.1), _WEEK),
        "shoes, one point more a day": (creeping, 2 * _WEEK),
    }


def report(asked: Mapping[str, pa.Table], baseline: Tally, weeks: int, luck: np.random.Generator) -> None:
    """Prints the table."""

    def quiet(day: int) -> Parts:
        return [(asked["quiet"], _PER_DAY)]

    rows = []
    for name, (parts, count) in cases(asked).items():
        tables = [*traffic(quiet, _WEEK, luck), *traffic(parts, count, luck, _WEEK)]
        verdict = judged(tables, baseline)
        found = next((number for number, day in enumerate(verdict.days[_WEEK:], 1) if day.alarms), 0)
        told = verdict.days[_WEEK + found - 1].alarms[0][1].name if found else "nothing"
        expected = [day.accuracy.value for day in verdict.days[_WEEK:] if day.accuracy]
        true, share = accuracy(tables[_WEEK:]), sum(expected) / len(expected)
        rows.append([name, str(found or "–"), told, percent(true), percent(share), f"{100 * (share - true):+.1f}"])
    still = judged([*traffic(quiet, weeks * _WEEK, luck)], baseline)
    alarms = [f"{day.day} {alarm.name}: {alarm.moves[0]}" for day in still.days for _, alarm in day.alarms]
    columns = ["what happens", "found on day", "as", "accuracy", "expected", "points"]
    show("Production", columns, rows, f"{weeks} weeks in which nothing happens: {len(alarms)} alarms", *alarms)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--examples", type=Path, required=True, help="ingest's examples of the model's run")
    parser.add_argument("--model", type=Path, required=True, help="a published version of six_class")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--changed", type=int, default=500, help="pictures that are changed, for each case")
    parser.add_argument("--weeks", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    test = [*read_examples(given.examples / "Split-test")]
    random.Random(0).shuffle(test)
    changes = {"dark": darkened, "camera": another_camera, "exchanged": exchanged}
    new = new_products(given.data, given.changed)
    asked = {
        "quiet": cached(given.cache, "quiet", lambda: answers(given.model, iter(test))),
        "new": cached(given.cache, "new", lambda: answers(given.model, new, labelled=False)),
    }
    for name, change in changes.items():
        some = iter(test[: given.changed])
        asked[name] = cached(given.cache, name, partial(answers, given.model, some, encoded(change)))
    eval_ = cached(given.cache, "eval", lambda: answers(given.model, read_examples(given.examples / "Split-eval")))
    luck = np.random.default_rng(given.seed)
    baseline = Tally()
    baseline.add(eval_, luck)
    report(asked, baseline, given.weeks, luck)


if __name__ == "__main__":
    main()
