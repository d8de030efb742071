"""What ingest counted, and which shares of it are too large: rows left out, and rows outside the classes."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping

from pydantic import BaseModel
from scipy.special import bdtrc  # type: ignore[import-untyped]

from components.validate.settings import Validation

_MOST_VALUES = 8
# A share is above its limit where chance alone would bring as much less than once in a hundred runs.
_CHANCE, _DEVIATIONS = 0.01, 2.33


class Summary(BaseModel):
    """What the gate reads of the quarantine's `summary.json`; counts that are zero may be left out."""

    rows: int
    examples: dict[str, int]  # by split; in `classes` by class and split
    classes: dict[str, dict[str, int]]
    quarantined: dict[str, int]  # rows left out, by reason; in `class_quarantined` those whose class is known, by class
    class_quarantined: dict[str, int] = {}
    unmapped: dict[str, int] = {}  # rows outside the classes, by article type
    shared: dict[str, int] = {}  # pictures that are in both of two splits, by the names of the two

    @property
    def outside(self) -> float:
        """Share of rows outside the classes."""
        return sum(self.unmapped.values()) / max(self.rows, 1)


def quarantine_problems(summary: Summary, settings: Validation, path: str) -> Iterator[str]:
    """Too many rows left out, of all or of a class; pictures of rows outside the classes are not looked at."""
    refused = sum(summary.quarantined.values())
    judged = refused + sum(summary.examples.values())
    if refused / max(judged, 1) > settings.quarantine:
        reasons = sorted(summary.quarantined.items(), key=lambda item: (-item[1], item[0]))
        aside = ", those outside the classes aside" if summary.unmapped else ""
        yield (
            f"{refused:,} of {judged:,} rows ({100 * refused / judged:.3g} %) are quarantined{aside}, more than the "
            f"{100 * settings.quarantine:.3g} % that validation.quarantine allows: {listed(dict(reasons))}. "
            f"Correct what {path} lists, or raise the limit."
        )
    for name, lost in summary.class_quarantined.items():
        pictures, limit = lost + sum(summary.classes.get(name, {}).values()), settings.class_quarantine
        if lost / pictures > limit and bdtrc(lost - 1, pictures, limit) < _CHANCE:
            yield (
                f"{name}: {lost:,} of {pictures:,} products ({100 * lost / pictures:.3g} %) are quarantined, more than "
                f"the {100 * limit:.3g} % that validation.class_quarantine allows. Correct what {path} lists, or raise "
                "the limit."
            )


def unmapped_problems(summary: Summary, earlier: Summary | None, settings: Validation, path: str) -> Iterator[str]:
    """Too many rows outside the classes, by themselves or beside the last run: categories may have new names."""
    remedy = f"Map what {path} lists by rules of the taxonomy, or raise the limit."
    if summary.outside > settings.unmapped:
        values = dict(list(summary.unmapped.items())[:_MOST_VALUES])
        yield (
            f"{sum(summary.unmapped.values()):,} of {summary.rows:,} rows ({100 * summary.outside:.3g} %) are outside "
            f"the classes, more than the {100 * settings.unmapped:.3g} % that validation.unmapped allows, above all "
            f"{listed(values)}. {remedy}"
        )
    if earlier is None or not earlier.rows or not summary.rows:
        return
    rise = summary.outside - earlier.outside
    noise = _DEVIATIONS * math.sqrt(sum(each.outside * (1 - each.outside) / each.rows for each in (summary, earlier)))
    if rise > max(settings.unmapped_rise, noise):
        growth = Counter(summary.unmapped)
        growth.subtract(earlier.unmapped)
        values = {name: summary.unmapped[name] for name, more in growth.most_common(_MOST_VALUES) if more > 0}
        yield (
            f"{100 * summary.outside:.3g} % of the rows are outside the classes, and {100 * earlier.outside:.3g} % "
            f"were in the last run whose data were fit; validation.unmapped_rise allows "
            f"{100 * settings.unmapped_rise:.3g} points more. The most grown article types among "
            f"them: {listed(values)}. {remedy}"
        )


def listed(counts: Mapping[str, int]) -> str:
    """Names and counts in one line."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
