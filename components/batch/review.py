"""What of a batch a person should look at, the most valuable first."""

import math
from collections.abc import Iterable, Iterator, Sequence

from fashion_client.decisions import ACCEPT

from components.answers.rows import Row

ANSWER = ("decision", "label", "confidence", "outside", "label_set")


def value(row: Row) -> float:
    """Returns how much a look at a picture is worth, 0 … 1: the closer its label is to being as likely wrong as right.

    A label is right where the picture is of some class and the class is this one. `outside` are log odds of the first,
    see `components.outside.score`; what is surely foreign, or surely right, needs no look.
    """
    inside = 1 / (1 + math.exp(min(float(row["outside"] or 0), 700)))
    return 1 - abs(2 * inside * float(row["confidence"]) - 1)


def review(rows: Iterable[Row], names: Sequence[str]) -> Iterator[list[object]]:
    """Yields the lines of a table: its header, then what was answered and not accepted, the most valuable first.

    Rows are of answers, as `components.answers.rows` has them; of equal value the first stay first. `names` are the
    columns that name what a row is about.
    """
    yield [*names, *ANSWER, "value"]
    left = [row for row in rows if row["decision"] not in ("", ACCEPT)]
    for row in sorted(left, key=value, reverse=True):
        members = row["label_set"]
        cells = {**row, "label_set": members if isinstance(members, str) else " | ".join(members)}
        yield [*(cells[name] for name in (*names, *ANSWER)), f"{value(row):.3f}"]
