"""What production says: what has moved is found on its day, by its name; what moves by chance is not."""

import datetime
import json

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from fashion_client.answer_log import LOOKS, SCHEMA
from pyarrow import parquet

from components.errors import CatalogueError
from components.ingest.corrections import read_corrections
from pipeline.cli import main
from pipeline.monitor.accuracy import expected, known
from pipeline.monitor.causes import alarms
from pipeline.monitor.feedback import compare, read_labels
from pipeline.monitor.log import read_days, read_tally
from pipeline.monitor.moves import Limits, Move
from pipeline.monitor.next import choose
from pipeline.monitor.tally import TRUTH, Tally, total
from pipeline.monitor.verdict import judge
from pipeline.retrain.drift import Decision
from pipeline.retrain.look import heed

LABELS = ("shirts", "shoes", "rings")
SHARES = (0.5, 0.3, 0.2)
BRIGHT = {"shirts": 0.8, "shoes": 0.7, "rings": 0.9}  # so that another mix of labels looks different too
FIRST = datetime.datetime(2026, 3, 2, tzinfo=datetime.UTC)
LUCK = np.random.default_rng(5)
DAY = datetime.timedelta(days=1)


def rows(random, count, shares=SHARES, change=None, easy=0.9):
    """Answers of a model that is right as often as it says."""
    confidence = np.where(random.random(count) < easy, random.beta(60, 1, count), random.beta(3, 2, count))
    labels = random.choice(LABELS, count, p=shares)
    truths = np.where(random.random(count) < confidence, labels, random.choice(LABELS, count))
    for label, sure, truth in zip(labels, confidence, truths, strict=True):
        look = dict(zip(LOOKS, random.normal([BRIGHT[label], 0.25, 0.5, 0.06, 0.0], 0.05), strict=True))
        row = {
            "sample": 1.0,
            "label": label,
            "confidence": sure,
            "latency_ms": random.gamma(9, 3),
            "outside": random.normal(),
            "decision": "accept" if sure > 0.5 else "unsure",
            TRUTH: truth,
            **look,
        }
        yield change(row) if change else row


def write(folder, day, some, number=0):
    when = FIRST + day * DAY
    same, instant = {"model": "m", "version": 1}, datetime.timedelta(seconds=1, microseconds=7)
    some = [same | {"time": when + n * instant, "product": f"p{day}-{n}"} | row for n, row in enumerate(some)]
    target = folder / f"day={when:%Y-%m-%d}" / f"answers-{number:06}.parquet"
    target.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(some, SCHEMA), target)
    return some


@pytest.fixture(scope="module")
def baseline(tmp_path_factory):
    file = tmp_path_factory.mktemp("baselines") / "m-1.parquet"
    table = pa.Table.from_pylist([*rows(np.random.default_rng(1), 2500)], SCHEMA.append(pa.field(TRUTH, pa.string())))
    parquet.write_table(table, file)
    return file


def darker(row):
    return row | {"brightness": row["brightness"] / 2}


def exchanged(row):
    return row | {"warmth": -row["warmth"]}


def camera(row):
    return row | {"sharpness": row["sharpness"] / 2, "warmth": row["warmth"] + 0.2}


def new(row):
    return row | {"confidence": 0.3 + 0.4 * LUCK.random()} if LUCK.random() < 0.25 else row


def foreign(row):
    return row | {"outside": row["outside"] + 5, "decision": "outside"} if LUCK.random() < 0.1 else row


def failing(row):
    return row | {"label": None, "error": "UNAVAILABLE"} if LUCK.random() < 0.1 else row


def slow(row):
    return row | {"latency_ms": row["latency_ms"] * 3}


@pytest.mark.parametrize(
    ("shares", "change", "name"),
    [
        ((0.0, 1.0, 0.0), None, "another mix of labels"),
        (SHARES, darker, "another camera or light: pictures are darker"),
        (SHARES, camera, "another camera or light: pictures are blurred and warmer"),
        (SHARES, exchanged, "red and blue are exchanged"),
        (SHARES, new, "something new among the pictures"),
        (SHARES, foreign, "something new among the pictures"),
        (SHARES, failing, "requests fail"),
        (SHARES, slow, "answers take longer"),
    ],
)
def test_what_moves_is_found_on_its_day_and_by_its_name(tmp_path, baseline, shares, change, name):
    random = np.random.default_rng(2)
    for day in range(4):
        write(tmp_path, day, rows(random, 500, shares if day == 3 else SHARES, change if day == 3 else None))
    verdict = judge(read_days(tmp_path), read_tally(baseline), Limits())
    assert [[alarm.name for _, alarm in day.alarms] for day in verdict.days] == [[], [], [], [name]]
    [standing] = verdict.standing
    assert (standing.since, standing.rows) == ("2026-03-05", 500)
    assert str(standing).startswith(f"{name}, since 2026-03-05 (500 answers)")
    assert verdict.drift == (name not in ("requests fail", "answers take longer"))


def test_decisions_that_follow_from_another_mix_are_nothing_new():
    mix, decisions = (Move(what, 0.4, 0.03, 0.05, 0.2, 0.6, "shoes") for what in ("labels", "decisions"))
    assert [alarm.name for alarm in alarms([decisions, mix])] == ["another mix of labels"]
    assert [alarm.kind for alarm in alarms([decisions])] == ["new"]


def test_quiet_weeks_raise_no_alarm(tmp_path, baseline):
    random = np.random.default_rng(3)
    for day in range(14):
        write(tmp_path, day, rows(random, 500))
    verdict = judge(read_days(tmp_path), read_tally(baseline), Limits())
    assert [day.alarms for day in verdict.days] == [()] * 14


def test_an_alarm_says_since_when(tmp_path, baseline):
    random = np.random.default_rng(4)
    for day in range(6):
        write(tmp_path, day, rows(random, 300, change=darker if day >= 3 else None))
    [standing] = judge(read_days(tmp_path), read_tally(baseline), Limits()).standing
    assert (standing.since, standing.rows) == ("2026-03-05", 900)


def test_what_moves_in_a_slice_alone_is_told_of_the_slice(tmp_path, baseline):
    def of_shop(row):
        shop = "b" if LUCK.random() < 0.08 else "a"
        return row | {"slices": [f"shop={shop}", "season=Fall"]}

    def dark_there(row):
        row = of_shop(row)
        return darker(row) if row["slices"][0] == "shop=b" else row

    random = np.random.default_rng(11)
    for day in range(4):
        write(tmp_path, day, rows(random, 1000, change=dark_there if day == 3 else of_shop))
    verdict = judge(read_days(tmp_path), read_tally(baseline), Limits())
    assert [len(day.alarms) for day in verdict.days] == [0, 0, 0, 1]
    told = "shop=b: another camera or light: pictures are darker, since 2026-03-05"
    assert str(verdict.standing[0]).startswith(told)
    last = verdict.as_json()["days"][-1]
    assert last["alarms"] == ["shop=b: another camera or light: pictures are darker"]
    assert last["slices"]["season=Fall"]["logged"] == 1000
    assert last["slices"]["shop=a"]["expected_accuracy"]["value"] > 0.9


def test_a_slice_is_held_against_its_like_in_training_and_there_are_few(tmp_path):
    some = [
        row | {"slices": [f"shop={n % 2}", f"id={n}"]} for n, row in enumerate(rows(np.random.default_rng(12), 400))
    ]
    write(tmp_path / "log", 0, some)
    found = read_days(tmp_path / "log")["2026-03-02"].slices
    assert (len(found), found["shop=0"].rows) == (21, 200)
    assert sum(part.rows for name, part in found.items() if name.startswith("id=")) == 400
    assert found["shop=0"].kept == []
    assert read_tally(tmp_path / "log", {"shop=1"}).slices.keys() == {"shop=1"}


def test_without_a_baseline_weeks_are_compared(tmp_path):
    random = np.random.default_rng(5)
    for day in range(4):
        write(tmp_path, day, rows(random, 500, change=darker if day == 3 else None))
    verdict = judge(read_days(tmp_path), None, Limits())
    assert [(each.against, each.alarm.kind) for each in verdict.standing] == [("the week before", "camera")]
    assert verdict.accuracy is None


def test_expected_accuracy_is_that_of_the_labels_that_come_later(tmp_path, baseline):
    random = np.random.default_rng(6)
    harder = [*rows(random, 4000, easy=0.6)]
    write(tmp_path, 0, harder)
    share = expected(total(read_days(tmp_path).values()), read_tally(baseline))
    truth = np.mean([row["label"] == row[TRUTH] for row in harder])
    assert share.low <= truth <= share.high
    assert abs(share.value - truth) < 0.015
    assert known(read_tally(baseline)).value > truth + 0.05


def test_counts_do_not_depend_on_how_a_log_is_divided(tmp_path):
    some = [*rows(np.random.default_rng(7), 400)]
    write(tmp_path / "one", 0, some)
    for number in range(4):
        write(tmp_path / "four", 0, some[100 * number : 100 * number + 100], number)
    one, four = (read_days(tmp_path / name)["2026-03-02"] for name in ("one", "four"))
    assert (one.rows, one.labels, one.errors) == (four.rows, four.labels, four.errors)
    for name, by_label in one.measures.items():
        for label, counts in by_label.items():
            assert np.array_equal(counts, four.measures[name][label])


def test_ten_million_answers_take_the_memory_of_a_few(tmp_path):
    table = pa.Table.from_pylist([*rows(np.random.default_rng(8), 50)], SCHEMA.append(pa.field(TRUTH, pa.string())))
    tally, random = Tally(), np.random.default_rng(0)
    for _ in range(60):
        tally.add(table, random)
    assert tally.rows == 3000
    assert len(tally.kept) == 1000
    assert sum(counts.nbytes for by_label in tally.measures.values() for counts in by_label.values()) < 200_000


def test_late_labels_tell_real_accuracy_and_become_corrections(tmp_path, baseline):
    some = write(tmp_path / "log", 0, rows(np.random.default_rng(9), 600))
    late = {row["product"]: str(row[TRUTH]) for row in some[:400]}
    file = tmp_path / "late.csv"
    file.write_text("id,label\n" + "".join(f"{product},{label}\n" for product, label in late.items()))
    found = compare(tmp_path / "log", read_labels(file), read_tally(baseline))
    right = sum(row["label"] == row[TRUTH] for row in some[:400])
    assert (found.accuracy.value, found.accuracy.count) == (right / 400, 400)
    assert found.expected.low <= found.accuracy.value <= found.expected.high
    assert sum(share.count for share in found.classes.values()) == 400
    (tmp_path / "corrections.csv").write_text(found.as_corrections("2026-03-09"))
    given = read_corrections(tmp_path / "corrections.csv")
    assert {(each.id, each.old, each.new) for each in given} == {
        (row["product"], row["label"], row[TRUTH]) for row in some[:400] if row["label"] != row[TRUTH]
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,label\na,b\n", "needs a column product or id or digest"),
        ("id,label\nnobody,shoes\n", "none of its answers"),
    ],
)
def test_late_labels_that_fit_nothing_are_refused(tmp_path, text, message):
    write(tmp_path / "log", 0, rows(np.random.default_rng(9), 50))
    (tmp_path / "late.csv").write_text(text)
    with pytest.raises(CatalogueError, match=message):
        compare(tmp_path / "log", read_labels(tmp_path / "late.csv"), None)


def test_what_to_label_next_is_doubtful_and_of_all_kinds(tmp_path):
    def doubtful(number) -> dict[str, object]:
        kind = number % 4
        scores = [0.5, 0.45] if kind else [0.99, 0.01]
        top = [{"label": "shirts", "confidence": scores[0]}, {"label": "shoes", "confidence": scores[1]}]
        projection = [10.0 * (place == kind) + number / 1e4 for place in range(4)]
        return {"label": "shirts", "confidence": scores[0], "top": top, "digest": str(number), "projection": projection}

    write(tmp_path, 0, [doubtful(number) for number in range(400)])
    chosen = choose(tmp_path, 6)
    assert {(row["why"], row["suggestion"]) for row in chosen} == {("unsure", "shoes")}
    assert len({row["digest"] for row in chosen}) == 6
    assert {int(row["digest"]) % 4 for row in chosen} == {1, 2, 3}  # the sure ones teach nothing


def test_what_to_label_next_is_foreign_or_contradicted_or_of_a_kind_that_training_lacks(tmp_path):
    def at(number, place):
        near = np.random.default_rng(number).normal(place, 0.1, 8).tolist()
        top = [{"label": "shirts", "confidence": 1.0}, {"label": "shoes", "confidence": 0.0}]
        return {"label": "shirts", "confidence": 1.0, "top": top, "digest": f"{number:04}", "projection": near}

    (tmp_path / "before").mkdir()
    write(tmp_path / "before", 0, [at(number, 0) for number in range(400)])
    answers = [at(1000 + number, 0 if number < 360 else 5) for number in range(400)]
    answers[7] |= {"decision": "outside"}
    answers[8] |= {"label": "shoes", "confidence": 1.0}
    for other in range(9, 40):
        answers[other] |= {"label": "shoes"}
    write(tmp_path / "log", 0, answers)
    names = {f"p0-{number}": "Leather Boot" if 9 <= number < 40 else "Cotton Shirt" for number in range(400)}
    whys = {row["digest"]: row["why"] for row in choose(tmp_path / "log", 42, tmp_path / "before", names)}
    assert (whys["1007"], whys["1008"]) == ("outside", "its name says otherwise")
    assert sum(why.startswith("many alike") and digest >= "1360" for digest, why in whys.items()) > 30
    assert len(whys) == 42


def fashion(capfd, *arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, [*map(str, arguments)])
    return result.exit_code, result.output + str(result.exception or "") + "".join(capfd.readouterr())


def test_the_command_tells_it_by_exit_code_page_and_json(tmp_path, baseline, capfd):
    random, log, out = np.random.default_rng(10), tmp_path / "answers", tmp_path / "out"
    for day in range(3):
        write(log, day, (row | {"slices": ["shop=b"]} for row in rows(random, 300)))
    code, output = fashion(capfd, "monitor", log, "--against", log, "--root", tmp_path, "--out", out)
    assert (code, "shop=b" in (out / "index.html").read_text()) == (0, True), output
    code, output = fashion(capfd, "monitor", log, "--against", baseline, "--root", tmp_path, "--out", out)
    assert (code, "nothing moved" in output) == (0, True)
    write(log, 3, [darker(row) for row in rows(random, 300)])
    code, output = fashion(capfd, "monitor", log, "--against", baseline, "--root", tmp_path, "--out", out)
    assert code == 12
    assert "pictures are darker, since 2026-03-05 (300 answers), against training: brightness" in output
    verdict = json.loads((out / "verdict.json").read_text())
    assert verdict["drift"]
    assert [day["alarms"] != [] for day in verdict["days"]] == [False, False, False, True]
    page = (out / "index.html").read_text()
    assert "pictures are darker" in page
    assert "Expected accuracy" in page
    assert (out / "label-next.csv").read_text().startswith("product,digest,label,confidence,doubt,why,suggestion")
    assert "would teach the model most" in (out / "review.html").read_text()


def test_a_folder_that_is_no_log_is_named(tmp_path, capfd):
    code, output = fashion(capfd, "monitor", tmp_path, "--root", tmp_path)
    assert (code, f"{tmp_path}: holds no answers" in output) == (10, True)


def test_retrain_heeds_production():
    stays = Decision(False, "no drift: labels moved by 0.01")
    moved = {"drift": True, "alarms": [{"text": "something new among the pictures"}]}
    assert heed(stays, moved) == Decision(True, "production has moved: something new among the pictures")
    assert not heed(stays, {"drift": False, "alarms": []}).train
    assert heed(Decision(True, "labels moved"), moved).reason == "labels moved"
