"""When a new catalogue takes a new model: decisions on counts and statistics made by hand."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.errors import RecipeError
from pipeline.cli import main
from pipeline.history import History
from pipeline.paths import Paths
from pipeline.recipe import load_recipe
from pipeline.retrain import look as retrain
from pipeline.retrain.drift import Decision, Move, Span, decide, divergence, judge, label_move, noise_between
from pipeline.retrain.settings import Drift
from pipeline.runs import Artifact, Run, StageRun
from tests import HOUSE

SCHEMA = HOUSE / "schema" / "schema.pbtxt"
COUNTS = {"topwear": 500, "shoes": 300, "eyewear": 200}
CATEGORIES = {"Apparel": 500, "Footwear": 300, "Accessories": 200}


def span(folder: Path, counts: Mapping[str, int] = COUNTS, categories: Mapping[str, int] = CATEGORIES) -> Span:
    """The data of a run with these classes and these values of masterCategory."""
    statistics = statistics_pb2.DatasetFeatureStatisticsList()
    dataset = statistics.datasets.add(num_examples=sum(categories.values()))
    column = dataset.features.add(type=statistics_pb2.FeatureNameStatistics.STRING)
    column.path.step.append("masterCategory")
    column.string_stats.unique = len(categories)
    common = column.string_stats.common_stats
    common.num_non_missing = common.tot_num_values = sum(categories.values())
    common.min_num_values = common.max_num_values = 1
    for rank, (value, count) in enumerate(categories.items()):
        column.string_stats.rank_histogram.buckets.add(low_rank=rank, high_rank=rank, label=value, sample_count=count)
    file = folder / "Split-train" / "FeatureStats.pb"
    file.parent.mkdir(parents=True)
    file.write_bytes(statistics.SerializeToString())
    return Span(folder, counts)


@pytest.mark.parametrize(
    ("now", "distance", "says"),
    [
        (COUNTS, 0, "labels moved by 0.000 ± 0.070 (limit 0.05)"),
        ({"topwear": 5000, "shoes": 3000, "eyewear": 2000}, 0, "labels moved by 0.000 ± 0.053 (limit 0.05)"),
        ({"topwear": 520, "shoes": 290, "eyewear": 190}, 0.02, "labels moved by 0.020 ± 0.072 (limit 0.05)"),
        (
            {"topwear": 500, "shoes": 600, "eyewear": 200},
            6 / 13 - 0.3,
            "labels moved by 0.162 ± 0.068 (limit 0.05): shoes 30.0 % → 46.2 %",
        ),
        (
            {"topwear": 500, "shoes": 300, "eyewear": 0},
            0.2,
            "labels moved by 0.200 ± 0.078 (limit 0.05): eyewear 20.0 % → 0.0 %",
        ),
    ],
)
def test_the_mix_of_classes_moves_as_far_as_its_most_changed_share(now, distance: float, says: str) -> None:
    move = label_move(COUNTS, now, Drift())
    assert move.distance == pytest.approx(distance)
    assert str(move) == says


@pytest.mark.parametrize(("distance", "train"), [(0.0499, False), (0.05, False), (0.0501, True)])
def test_only_beyond_its_limit_does_a_move_count(distance: float, train: bool) -> None:
    assert judge([Move("gender", 0.0, 0.1), Move("labels", distance, 0.05)]).train is train


def test_the_reason_names_all_that_moved_too_far_and_no_others() -> None:
    decision = judge([Move("a", 0.2, 0.1), Move("b", 0.05, 0.1), Move("c", 0.4, 0.1)])
    assert decision.reason == "c moved by 0.400 ± 0.000 (limit 0.1); a moved by 0.200 ± 0.000 (limit 0.1)"


MIX = np.array([0.55, 0.2, 0.1, 0.08, 0.05, 0.02])
TYPES = np.geomspace(1, 1e-2, 20) / np.geomspace(1, 1e-2, 20).sum()  # as uneven as article types are


def drawn(chance: np.random.Generator, shares: np.ndarray, size: int) -> dict[str, int]:
    return {str(value): int(count) for value, count in enumerate(chance.multinomial(size, shares))}


@pytest.mark.parametrize(("before", "now"), [(50, 50), (100, 100), (200, 200), (400, 400), (1_000, 1_000), (5_000, 50)])
def test_two_random_samples_of_one_catalogue_drift_on_two_nights_of_a_hundred_at_most(before: int, now: int) -> None:
    chance, moves = np.random.default_rng(3), 0
    for _ in range(50):
        labels = label_move(drawn(chance, MIX, before), drawn(chance, MIX, now), Drift())
        pair = drawn(chance, TYPES, before), drawn(chance, TYPES, now)
        distance = divergence(*(np.array([*counts.values()]) / sum(counts.values()) for counts in pair))
        column = Move("articleType", float(distance), 0.0, noise_between(*pair, divergence, Drift().chance))
        moves += labels.far or column.far
    assert moves <= 1


def test_a_share_that_moves_by_a_sixth_is_found_among_400_products() -> None:
    chance, shifted = np.random.default_rng(3), MIX + np.array([-0.16, 0.16, 0, 0, 0, 0])
    found = [label_move(drawn(chance, MIX, 5_000), drawn(chance, shifted, 400), Drift()).far for _ in range(50)]
    assert sum(found) >= 49
    assert label_move({"a": 280, "b": 120}, {"a": 216, "b": 184}, Drift()).far
    assert not label_move({"a": 28, "b": 12}, {"a": 22, "b": 18}, Drift()).far


def test_numbers_of_many_products_are_judged_by_the_limit_alone() -> None:
    assert noise_between({"a": 10**9, "b": 1}, {"a": 7}, divergence, 0.01) == 0
    assert noise_between({"a": 5, "b": 1}, {}, divergence, 0.01) == 0


def test_other_classes_take_another_model_however_few_products_they_have(tmp_path: Path) -> None:
    before, now = Span(tmp_path, COUNTS), Span(tmp_path, {"topwear": 500, "shoes": 300, "jewelry": 1})
    decision = decide(before, now, Drift(labels=1), SCHEMA)
    assert decision == Decision(True, "the classes are others: new jewelry; gone eyewear")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("categories", "limits", "train"),
    [
        (CATEGORIES, Drift(), False),
        ({"Apparel": 510, "Footwear": 295, "Accessories": 195}, Drift(), False),
        ({"Apparel": 200, "Footwear": 600, "Accessories": 200}, Drift(), True),
        ({**CATEGORIES, "Home": 100}, Drift(), True),
        ({**CATEGORIES, "Home": 100}, Drift(columns={"masterCategory": 0.5}), False),
        ({"Apparel": 400, "Footwear": 400, "Accessories": 200}, Drift(columns={"masterCategory": 0}), True),
    ],
)
def test_a_column_that_moves_beyond_schema_or_recipe_takes_a_new_model(tmp_path, categories, limits, train) -> None:
    before, now = span(tmp_path / "before"), span(tmp_path / "now", categories=categories)
    decision = decide(before, now, limits, SCHEMA)
    assert decision.train is train
    assert {move.what for move in decision.moves} == {"labels", "masterCategory"}
    assert decision.reason.startswith("masterCategory moved by" if train else "no drift: ")


@pytest.mark.slow
def test_a_limit_of_an_unknown_column_is_refused(tmp_path: Path) -> None:
    before = span(tmp_path / "before")
    with pytest.raises(RecipeError, match=r"drift\.columns\.gendre: the schema has no such column; did you mean"):
        decide(before, before, Drift(columns={"gendre": 0.1}), SCHEMA)


def published(run_id: str, version: int | None, pipeline: str = "six_class-abc") -> Run:
    properties = {"pushed": 0} if version is None else {"pushed": 1, "pushed_version": str(version)}
    pushed = Artifact(1, "PushedModel", "/nowhere", properties)
    return Run(run_id, pipeline, 0.0, {"publish": StageRun("publish", "complete", outputs={"pushed_model": (pushed,)})})


@pytest.mark.parametrize(
    ("runs", "kept", "found"),
    [
        ([], (), None),
        ([published("a", None)], (), None),
        ([published("a", 7)], (7,), "a"),
        ([published("a", 7), published("b", None)], (7,), "a"),
        ([published("a", 7), published("b", 8)], (7, 8), "b"),
        ([published("a", 7), published("b", 8)], (7,), "a"),
        ([published("a", 7)], (), None),
        ([published("a", 7, "six_class_b0-abc")], (7,), None),
        ([published("a", 7, "six_class-other")], (7,), "a"),
    ],
    ids=[
        "no run",
        "refused",
        "published",
        "refused later",
        "newer",
        "newer removed",
        "removed",
        "other recipe",
        "other classes",
    ],
)
def test_the_model_in_question_is_the_newest_that_is_still_published(monkeypatch, tmp_path, runs, kept, found) -> None:
    by_id = {run.id: run for run in runs}
    history = SimpleNamespace(ids=list(by_id), read=by_id.__getitem__)
    history.published = partial(History.published, history)
    monkeypatch.setattr(retrain, "History", lambda _: history)
    monkeypatch.setattr(retrain, "versions", lambda _: dict.fromkeys(kept, tmp_path))
    trained = retrain.last_published(load_recipe("six_class"), Paths(tmp_path, tmp_path))
    assert (trained.run.id if trained else None) == found


@pytest.mark.parametrize(
    ("options", "code", "trained"),
    [((), 0, True), (("--if-drift",), 0, True), (("--if-drift", "--only-decide"), 0, False)],
)
def test_where_nothing_is_published_a_model_is_trained(
    monkeypatch, tmp_path, bare_catalogue, options, code, trained
) -> None:
    ran: list[str | None] = []
    monkeypatch.setattr("pipeline.run.run_recipe", lambda *_, last=None, **__: ran.append(last))
    root = tmp_path / "runs"
    done = CliRunner().invoke(
        main, ["retrain", "--recipe", "six_class", "--data", str(bare_catalogue), "--root", str(root), *options]
    )
    assert done.exit_code == code, done.output
    assert ran == [None] * trained
    decisions = [json.loads(file.read_text()) for file in root.glob("decisions/*-six_class.json")]
    assert [(each["train"], each["trained"]) for each in decisions] == [(True, None)] * bool(options)


@pytest.mark.parametrize(
    ("decision", "options", "code", "trained"),
    [
        (Decision(False, "no drift: x"), ("--if-drift",), 0, False),
        (Decision(False, "no drift: x"), ("--if-drift", "--only-decide"), 11, False),
        (Decision(True, "y moved"), ("--if-drift",), 0, True),
        (Decision(True, "y moved"), ("--if-drift", "--only-decide"), 0, False),
    ],
)
def test_the_decision_is_followed(monkeypatch, bare_catalogue, decision, options, code, trained) -> None:
    ran: list[str] = []
    monkeypatch.setattr("pipeline.run.run_recipe", lambda *_, **__: ran.append("run"))
    monkeypatch.setattr("pipeline.retrain.look.look", lambda *_: decision)
    done = CliRunner().invoke(main, ["retrain", "--recipe", "six_class", "--data", str(bare_catalogue), *options])
    assert (done.exit_code, ran) == (code, ["run"] * trained)


def test_only_decide_goes_with_if_drift(bare_catalogue: Path) -> None:
    done = CliRunner().invoke(
        main, ["retrain", "--recipe", "six_class", "--data", str(bare_catalogue), "--only-decide"]
    )
    assert (done.exit_code, "--only-decide and --production go with --if-drift" in done.output) == (2, True)
