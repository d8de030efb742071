"""Our figures beside the published ones: each row is of recorded runs, and says where these are of an earlier split."""

import re
import statistics
import subprocess
from dataclasses import dataclass
from functools import cache

import pytest

from pipeline.results.record import read_record
from pipeline.results.rows import Row, rows
from tests import HOUSE

FAR = 40  # commits to what decides a figure
PRODUCT = ("components", "pipeline", "serving", "schema")
SPLIT, CODE = "earlier split", "earlier code"


@dataclass(frozen=True)
class Claim:
    """A row of the table: its recipe, accuracy in percent, commits, and what it says these are of."""

    recipe: str
    accuracy: str
    commits: frozenset[str]
    marks: frozenset[str]


def claims(text: str) -> list[Claim]:
    table = text.partition("| recipe | published | here, on `test` | commit | command |\n")[2].partition("\n\n")[0]
    found: list[Claim] = []
    for line in table.splitlines()[1:]:
        _, _, here, commit, command = (cell.strip() for cell in line.strip("|").split("|"))
        named = re.search(r"--recipe (\w+)", command)
        found.append(
            Claim(
                recipe=named[1] if named else found[-1].recipe,
                accuracy=here.split("%")[0].strip(),
                commits=frozenset(re.findall(r"`([0-9a-f]{7})`", commit)),
                marks=frozenset(mark for mark in (SPLIT, CODE) if mark in commit),
            )
        )
    return found


@cache
def front() -> list[Claim]:
    return [claim for page in ("README.md", "docs/results.md") for claim in claims((HOUSE / page).read_text("utf-8"))]


def runs_of(claim: Claim) -> list[Row]:
    """The recorded runs that a row may be about."""
    return [
        row
        for row in rows(read_record(HOUSE / "docs" / "results.jsonl"))
        if row.recipe == claim.recipe
        and {str(of.footprint.commit)[:7] for of in row.results if of.footprint} == claim.commits
        and _percent(row) == claim.accuracy
    ]


def _percent(row: Row) -> str:
    shares = [100 * (of.accuracy or 0) for of in row.results]
    mean = f"{statistics.fmean(shares):.1f}"
    return mean if len(shares) == 1 else f"{mean} ± {statistics.stdev(shares):.1f}"


def behind(commit: str) -> int | None:
    """How many commits to the product came after one; None where its history is not at hand."""
    command = ["git", "-C", str(HOUSE), "rev-list", "--count", f"{commit}..HEAD", "--", *PRODUCT]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return int(done.stdout) if done.returncode == 0 else None


def unmarked(table: list[Claim]) -> list[str]:
    """The rows that are far behind and do not say so."""
    return [
        f"{claim.recipe}, {claim.accuracy} %: {commit} is {count} commits behind; run it anew, or mark it {CODE!r}"
        for claim in table
        for commit in sorted(claim.commits)
        if not claim.marks and (count := behind(commit)) is not None and count > FAR
    ]


def test_the_front_has_five_rows_of_the_whole_table() -> None:
    front, whole = (claims((HOUSE / page).read_text(encoding="utf-8")) for page in ("README.md", "docs/results.md"))
    assert len(front) == 5
    assert all(claim in whole for claim in front)


def test_every_row_on_the_front_is_of_recorded_runs() -> None:
    assert len(front()) > 10
    assert [claim for claim in front() if not runs_of(claim)] == []


def test_a_row_on_the_front_says_whether_it_was_tested_on_todays_test_products() -> None:
    for claim in front():
        assert {row.tested_anew for row in runs_of(claim)} == {SPLIT not in claim.marks}, claim


def test_no_row_on_the_front_is_of_code_far_behind_without_saying_so() -> None:
    if all(behind(commit) is None for claim in front() for commit in claim.commits):
        pytest.skip("no git history here, by which to tell how old the rows are")
    assert unmarked(front()) == []


def test_a_row_far_behind_is_named() -> None:
    done = subprocess.run(
        ["git", "-C", str(HOUSE), "rev-list", "--skip", str(FAR + 1), "HEAD", "--", *PRODUCT],
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode or not done.stdout:
        pytest.skip("no git history here, or one too short to fall behind")
    old = Claim("six_class", "99.1", frozenset({done.stdout[:7]}), frozenset())
    [named] = unmarked([old])
    assert named.startswith(f"six_class, 99.1 %: {done.stdout[:7]} is {FAR + 1} commits behind")
    assert unmarked([Claim("six_class", "99.1", old.commits, frozenset({CODE}))]) == []
