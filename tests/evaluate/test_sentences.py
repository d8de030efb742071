"""What is said of a verdict: which class failed and how, what still serves, and who was not judged."""

import json
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from components.evaluate import verdict as verdict_module
from components.evaluate.figures import figures
from components.evaluate.record import Breach, Metric, Record
from components.evaluate.sentences import note_on_rare
from components.evaluate.settings import Gate
from components.evaluate.verdict import Verdict, read_verdict, refusal
from tests import HOUSE
from tests.evaluate.confusions import OPEN, RARE, Confusion

Judge = Callable[[Confusion, Gate, list[Breach]], Verdict]


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Judge:
    """A verdict on a confusion, without the Evaluator: what it would have found is given."""

    def judged(confusion: Confusion, gate: Gate, breaches: list[Breach]) -> Verdict:
        labels = np.repeat(range(len(confusion)), [sum(row) for row in confusion])
        calls = np.concatenate([np.repeat(range(len(row)), row) for row in confusion])
        of = figures(labels, np.eye(len(confusion), dtype=np.float32)[calls], len(confusion))
        numbers = {Metric(name): value for name, value in of.overall.items()}
        numbers |= {
            Metric(name, i): float(value) for name, values in of.classes.items() for i, value in enumerate(values)
        }
        numbers = {metric: value for metric, value in numbers.items() if not np.isnan(value)}
        counts = {(i, j): count for i, row in enumerate(confusion) for j, count in enumerate(row)}
        record = Record(ok=not breaches, breaches=tuple(breaches), slices={(): numbers}, confusion=counts)
        monkeypatch.setattr(verdict_module, "read_record", lambda _: record)
        names = [f"class{i}" for i in range(len(confusion))]
        return read_verdict("anywhere", not breaches, names, gate)

    return judged


def test_refusal_names_the_class_and_what_still_serves(judge: Judge) -> None:
    verdict = judge([[1138, 113], [0, 1000]], Gate(), [Breach("judged_recall", 0)])
    assert refusal("six_class", verdict.reasons, 1795228152) == (
        "six_class refused: class0 recall 91.0 % (89.3–92.4 %) is below 95 % (113 of 1,251 taken for class1). "
        "Nothing was published; version 1795228152 still serves."
    )
    assert refusal("six_class", verdict.reasons, None).endswith("Nothing was published; nothing serves yet.")


def test_class_that_does_not_occur_is_told_once_and_before_all_else_about_it(judge: Judge) -> None:
    breaches = [Breach("judged_recall", 1), Breach("judged_regression", 1), Breach("judged_precision", 1)]
    verdict = judge([[9, 1], [0, 0]], Gate(), breaches)
    assert [failure.sentence for failure in verdict.failures] == ["class1 does not occur in the test split"]


def test_refusal_of_a_collapsed_model_stays_readable(judge: Judge) -> None:
    confusion = [[10] + 58 * [0] for _ in range(59)]
    verdict = judge(confusion, Gate(), [Breach("judged_precision", i) for i in range(1, 59)])
    assert len(verdict.failures) == 58
    assert "class6 was never predicted; and 52 more. Nothing was published" in refusal("edgenet", verdict.reasons, 3)


@pytest.mark.parametrize(
    ("right", "shown"),
    [
        (9499, "94.99 % (94.5–95.4 %) is below"),
        (9400, "94.0 % (93.5–94.4 %) is below"),
        (9455, "(94.1–94.98 %) is below"),
    ],
)
def test_figure_below_the_gate_never_reads_as_the_gate(judge: Judge, right: int, shown: str) -> None:
    confusion = [[right, 10_000 - right], [0, 10_000]]
    assert shown in judge(confusion, Gate(), [Breach("judged_recall", 0)]).failures[0].sentence


def test_published_figures_are_json_with_null_for_what_does_not_exist(judge: Judge) -> None:
    verdict = judge([[10, 0], [0, 0]], Gate(), [Breach("judged_recall", 1), Breach("judged_precision", 1)])
    written = json.loads(json.dumps(verdict.as_json(), allow_nan=False))
    assert written["classes"][1] == {
        "name": "class1", "precision": None, "recall": None, "f1": None, "auprc": None,
        "support": 0, "predicted": 0, "baseline_recall": None, "lost": None, "gained": None,
    }  # fmt: skip
    assert written["failures"] == [{"name": "class1", "sentence": "class1 does not occur in the test split"}]
    assert written["confusion"] == [[10, 0], [0, 0]]
    assert written["gate"]["recall"] == 0.95


@pytest.mark.parametrize(
    ("confusion", "support", "note"),
    [
        (RARE, None, ""),
        (RARE, 12, ""),
        (RARE, 15, "1 class with fewer than 15 test examples, 12 in all, is not judged: class2."),
        (
            RARE,
            16,
            "2 classes with fewer than 16 test examples, 27 in all, are judged together by their recall, 70.4 %: "
            "class1, class2.",
        ),
        (
            [[9, 0, 0], [1, 0, 0], [0, 0, 0]],
            5,
            "2 classes with fewer than 5 test examples, 1 in all, are not judged: class1, class2. "
            "Not in the test split at all: class2.",
        ),
    ],
)
def test_classes_that_are_not_judged_by_themselves_are_named(
    judge: Judge, confusion: Confusion, support: int | None, note: str
) -> None:
    verdict = judge(confusion, OPEN.model_copy(update={"support": support}), [])
    assert note_on_rare(verdict) == note
    names = verdict.as_json()["rare"]["names"] if note else ()
    assert all(name in note for name in names)


def test_reading_code_starts_without_tensorflow() -> None:
    check = "import sys, components.evaluate.verdict; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=HOUSE).returncode == 0
