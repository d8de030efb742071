"""The plots and the figures in the text of a report."""

import dataclasses

import pytest

from components.report.facts.data import Count, Histogram
from components.report.page.formats import duration, number, percent, points, score, whole
from components.report.page.page import plots_of
from tests.report.drawn_facts import full_facts


def test_values_that_are_not_drawn_are_added_up_and_stand_in_the_table() -> None:
    facts = full_facts()
    assert facts.data is not None
    column = facts.data.columns[0]
    bars, pie = plots_of(facts)["columns"][:2]
    total = sum(of.count for of in column.values) + column.others + column.missing
    assert sum(bars.figure["data"][0]["x"]) == sum(pie.figure["data"][0]["values"]) == total
    assert len(bars.figure["data"][0]["x"]) == 14
    assert len(bars.rows) == len(column.values) + 2


def test_values_that_are_shortened_alike_stay_apart_in_the_pie() -> None:
    facts = full_facts()
    assert facts.data is not None
    values = (Count("a value as long as this one", 5), Count("a value as long as that one", 4))
    column = dataclasses.replace(facts.data.columns[0], values=values, others=0, missing=0, distinct=2)
    data = dataclasses.replace(facts.data, columns=(column,))
    pie = plots_of(dataclasses.replace(facts, data=data))["columns"][1].figure["data"][0]
    assert len(set(pie["labels"])) == 2


def test_a_histogram_of_equal_pictures_is_drawn() -> None:
    facts = full_facts()
    assert facts.data is not None
    data = dataclasses.replace(facts.data, histograms=(Histogram("width", "px", (60.0, 61.0), (0,)),))
    assert plots_of(dataclasses.replace(facts, data=data))["histograms"][0].rows == ()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (percent(0.98765), "98.8\u202f%"), (percent(0.9999), "99.9\u202f%"), (percent(1.0), "100.0\u202f%"),
        (percent(1 - 1e-16), "100.0\u202f%"),
        (percent(0.00001), "0.1\u202f%"), (percent(0.0), "0.0\u202f%"), (percent(None), "–"),
        (points(0.0042), "+0.4"), (points(-0.012), "−1.2"), (points(0.0001), "±0.0"), (score(0.99997), "0.9999"),
        (score(1.0), "1"), (duration(782.1), "13\u202fmin 2\u202fs"), (duration(59.7), "1\u202fmin 0\u202fs"),
        (duration(7_500), "2\u202fh 5\u202fmin"), (whole(39_879), "39,879"), (number(0.09113), "0.0911"),
    ],
)  # fmt: skip
def test_figures_read_the_same_everywhere(written: str, expected: str) -> None:
    assert written == expected
