"""Whole runs of the real command on a small drawn catalogue, one after the other as a team's week would bring them.

Each fixture is a run that starts from what the runs before it left; the tests ask what a user would check.
"""

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from components.ingest.catalogue import open_catalogue
from components.ingest.table import read_rows
from components.publish.store import versions
from components.transform.taxonomy import load_taxonomy
from pipeline.stages import STAGES
from pipeline.synthetic import Summary, write_catalogue
from tests.data.foreign import foreign_pictures

pytestmark = pytest.mark.slow

CLASSES = load_taxonomy("six_class").classes
RECIPE = {
    "picture.size": 64,
    "validation": "{quarantine: 0.05, class_minimum: 5}",
    "train.head": "{epochs: 20, learning_rate: 3e-3, views: 1, patience: 20}",
    "train.finetune": "{epochs: 1, unfreeze_from: top}",
    "gate": "{accuracy: 0.4, recall: 0, regression: 1, class_regression: 1}",
}
UNREACHABLE = {"gate": "{accuracy: 1, recall: 1, precision: 1}"}
OTHER_SEED = {"train.seed": 2}

ASK = """
import json, sys
from pathlib import Path
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
pictures = [Path(path).read_bytes() for path in sys.argv[2:]]
answer = model.signatures["serving_default"](image_bytes=tf.constant(pictures))
print(json.dumps([[text.decode() for text in answer[name].numpy()] for name in ("label", "decision")]))
"""


@dataclass(frozen=True)
class Run:
    """What a run came to, as a user sees it.

    Attributes:
        stages: stage to what its line says.
        log: text of its log.
        held: the versions that can be served after it.
    """

    code: int
    out: str
    err: str
    seconds: float
    stages: dict[str, str]
    log: str
    held: tuple[int, ...]

    def cached(self) -> set[str]:
        return {stage for stage, said in self.stages.items() if re.search(r"\bcached  \d+ s$", said)}


@dataclass
class Shop:
    """A catalogue, and the folder in which its runs follow each other."""

    place: object
    catalogue: Path
    drawn: Summary
    changed: dict[str, object] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return self.place.work / "runs"

    @property
    def store(self) -> Path:
        return self.root / "serving" / "quickstart"

    def arguments(self, settings: dict[str, object], *options: str, data: Path | None = None) -> list[str]:
        pairs = (f"{key}={value}" for key, value in {**RECIPE, **settings}.items())
        return ["run", "--data", str(data or self.catalogue), *options, *(f"--set={pair}" for pair in pairs)]

    def run(self, settings: dict[str, object] | None = None, *options: str, data: Path | None = None) -> Run:
        ended = self.place.fashion(*self.arguments(settings or {}, *options, data=data))
        stages = dict(re.findall(r"^  (\w+) +(?!…)(\S.*)$", ended.out.split("\n\n")[1], re.MULTILINE))
        log = self.newest_log().read_text(errors="replace")
        return Run(ended.code, ended.out, ended.err, ended.seconds, stages, log, tuple(versions(self.store)))

    def newest_log(self) -> Path:
        return max((self.root / "logs").iterdir())


@pytest.fixture(scope="module")
def shop(shared_place) -> Shop:
    shared_place.environment()
    catalogue = shared_place.folder / "catalogue"
    return Shop(shared_place, catalogue, write_catalogue(catalogue, 300, seed=3))


@pytest.fixture(scope="module")
def first(shop: Shop) -> Run:
    return shop.run()


@pytest.fixture(scope="module")
def second(shop: Shop, first: Run) -> Run:
    return shop.run()


@pytest.fixture(scope="module")
def refused(shop: Shop, second: Run) -> Run:
    return shop.run(UNREACHABLE)


@pytest.fixture(scope="module")
def emptied(shop: Shop, refused: Run) -> Run:
    """After somebody emptied the serving folder."""
    shutil.rmtree(shop.store)
    return shop.run()


@pytest.fixture(scope="module")
def repictured(shop: Shop, emptied: Run) -> Run:
    """Of a catalogue in which one product has a new picture, up to the gate."""
    copy = shop.catalogue.with_name("repictured")
    shutil.copytree(shop.catalogue, copy)
    one, other, *_ = sorted((copy / "images").iterdir())
    shutil.copyfile(one, other)
    return shop.run({}, "--to", "gate", data=copy)


@pytest.fixture(scope="module")
def unfit(shop: Shop, repictured: Run) -> Run:
    """Of a catalogue with one class only, and two bad pictures where none may be."""
    catalogue = shop.catalogue.with_name("unfit")
    catalogue.mkdir()
    (catalogue / "images").symlink_to(shop.catalogue / "images")
    lines = (shop.catalogue / "styles.csv").read_text().splitlines()
    kept = [line for line in lines if ",Eyewear," in line]
    nowhere = kept[0].replace(kept[0].partition(",")[0], "424242", 1)
    (catalogue / "styles.csv").write_text("\n".join([lines[0], *kept, nowhere]))
    return shop.run({"validation": "{quarantine: 0}"}, data=catalogue)


@pytest.fixture(scope="module")
def killed(shop: Shop, unfit: Run) -> None:
    """A run of another experiment, killed while it fine-tunes."""
    before = shop.newest_log()
    running = shop.place.start(*shop.arguments(OTHER_SEED), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    head_is_trained = re.compile(r"head · (\d+)/\1 ")
    while running.poll() is None:
        log = shop.newest_log()
        if log != before and head_is_trained.search(log.read_text(errors="replace")):
            break
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL


@pytest.fixture(scope="module")
def restarted(shop: Shop, killed: None) -> Run:
    return shop.run(OTHER_SEED)


@pytest.fixture(scope="module")
def returned(shop: Shop, restarted: Run) -> Run:
    """Back to the first experiment, from its training on."""
    return shop.run({}, "--from", "train")


def test_the_first_run_ends_well_and_names_what_it_made(shop: Shop, first: Run) -> None:
    assert (first.code, first.err) == (0, "")
    assert list(first.stages) == ["start", *STAGES, "report"]
    assert not first.cached()
    [version] = first.held
    assert f"\npublished as version {version}\n" in first.out
    for name, what in (("model", Path.is_dir), ("quarantine", Path.is_file), ("log", Path.is_file)):
        [named] = re.findall(rf"^{name} +(\S+)$", first.out, re.MULTILINE)
        assert what(shop.place.work / named), name


def test_the_table_has_every_class_with_its_support(shop: Shop, first: Run) -> None:
    table = re.findall(r"^ +(\w+) +([\d.]+ %|–) +([\d.]+ %) +([\d.]+ %|–) +(\d+)$", first.out, re.MULTILINE)
    assert [name for name, *_ in table] == [*CLASSES, "all"]
    supports = [int(support) for *_, support in table]
    assert sum(supports[:-1]) == supports[-1] > 0


def test_the_published_model_answers_new_pictures_in_a_fresh_process_and_accepts_none_of_nothing(
    shop: Shop, first: Run, tmp_path: Path
) -> None:
    write_catalogue(tmp_path / "new", 40, seed=77)
    taxonomy = load_taxonomy("six_class")
    rows = read_rows(open_catalogue(str(tmp_path / "new")), taxonomy.fields)
    classes = {row.id: taxonomy.class_of(row.fields) for row in rows}
    pictures = {tmp_path / "new" / "images" / f"{product}.jpg": name for product, name in classes.items() if name}
    asked = {picture: name for picture, name in pictures.items() if picture.exists()}
    foreign = foreign_pictures()
    for name, content in foreign.items():
        (tmp_path / name).write_bytes(content)
    paths = [*asked, *(tmp_path / name for name in foreign)]
    command = [sys.executable, "-c", ASK, shop.store / str(first.held[0]), *paths]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    labels, decisions = json.loads(answer.stdout)
    labels, decided = labels[: len(asked)], dict(zip(foreign, decisions[len(asked) :], strict=True))
    assert "accept" not in decided.values(), decided
    assert decisions[: len(asked)].count("accept") > 0
    right = sum(label == name for label, name in zip(labels, asked.values(), strict=True))
    assert right > len(asked) / 2, labels  # of six classes; a model that only guesses stays far below


def test_labels_recipe_figures_and_origin_lie_beside_the_model(shop: Shop, first: Run) -> None:
    extras = shop.store / str(first.held[0]) / "assets.extra"
    assert (extras / "labels.txt").read_text().split() == list(CLASSES)
    assert "size: 64" in (extras / "recipe.yaml").read_text()
    figures = json.loads((extras / "metrics.json").read_text())
    assert f"accuracy {100 * figures['accuracy']:.1f} %" in first.out
    assert str(shop.root) in json.loads((extras / "provenance.json").read_text())["model"]


def test_the_quarantine_lists_the_faults_of_the_catalogue(shop: Shop, first: Run) -> None:
    [listed] = (shop.root / "artifacts" / "ingest").rglob("quarantine.csv")
    with listed.open() as lines:
        rows = list(csv.DictReader(lines))
    assert Counter(row["reason"] for row in rows) == {
        "missing picture": shop.drawn.faults["missing_picture"],
        "empty picture": shop.drawn.faults["empty_picture"],
        "broken picture": shop.drawn.faults["truncated_picture"],
    }
    assert all(row["id"] in row["detail"] for row in rows)


def test_every_row_is_accounted_for(shop: Shop, first: Run) -> None:
    [counts] = (shop.root / "artifacts" / "ingest").rglob("summary.json")
    summary = json.loads(counts.read_text())
    kept, outside, bad = (sum(summary[key].values()) for key in ("examples", "unmapped", "quarantined"))
    assert kept + outside + bad == summary["rows"] == shop.drawn.products
    kinds = r"\([0-9]+ kinds shown, [0-9]+ unseen\)"
    said = rf"{kept} products in {len(CLASSES)} classes, {outside} outside {kinds}, {bad} quarantined"
    assert re.match(said, first.stages["ingest"])


def test_nothing_is_written_outside_the_root(shop: Shop, first: Run) -> None:
    work, home, tmp = ({path.name for path in folder.iterdir()} for folder in shop.place.around)
    assert work == {"runs"}
    assert tmp == set()
    assert home <= {".keras"}  # Keras' settings, and the weights it fetches, are for all runs
    assert len(list((shop.catalogue / "images").iterdir())) == shop.drawn.pictures


def test_the_libraries_are_heard_in_the_log_only(first: Run) -> None:
    noise = re.compile(r"tensorflow|absl|WARNING|Warning")
    assert noise.search(first.log)
    assert not noise.search(first.out.replace("TFX and TensorFlow are loaded", ""))
    assert all(len(line) <= 100 for line in first.out.splitlines())


def test_a_second_run_takes_all_from_the_cache_and_publishes_nothing_new(first: Run, second: Run) -> None:
    assert (second.code, second.err) == (0, "")
    assert second.cached() == {*STAGES} - {"baseline", "publish"}
    assert second.held == first.held
    assert second.stages["report"].startswith("as before: nothing has changed")
    assert f"published before, as version {first.held[0]}: the model is the same\n" in second.out
    assert second.seconds < first.seconds / 2


def test_a_refused_model_is_not_published_and_its_classes_are_named(second: Run, refused: Run) -> None:
    assert refused.code == 5
    assert refused.held == second.held
    assert refused.cached() >= {"ingest", "transform", "train"}
    assert refused.stages["publish"].startswith("nothing published")
    assert refused.err.startswith("fashion: quickstart refused: accuracy ")
    assert re.search(rf"({'|'.join(CLASSES)}) recall [\d.]+ % \([\d.]+–[\d.]+ %\) is below 100 %", refused.err)
    assert f"Nothing was published; version {second.held[0]} still serves." in refused.err
    assert "published as" not in refused.out


def test_a_version_that_somebody_removed_is_published_again(second: Run, emptied: Run) -> None:
    assert emptied.code == 0
    assert {"train", "evaluate"} <= emptied.cached()
    [version] = emptied.held
    assert f"\npublished as version {version}\n" in emptied.out


def test_a_changed_picture_is_ingested_again(repictured: Run) -> None:
    assert repictured.code == 0
    assert "ingest" not in repictured.cached()
    assert "schema" in repictured.cached()


def test_a_run_stops_after_the_last_stage_asked_for(emptied: Run, repictured: Run) -> None:
    assert list(repictured.stages) == ["start", *STAGES[: STAGES.index("gate") + 1]]
    assert repictured.held == emptied.held
    assert "quarantine.csv" in repictured.out


def test_unfit_data_are_refused_with_every_reason_and_remedy(unfit: Run) -> None:
    assert unfit.code == 4
    assert unfit.stages["gate"] == "✗ failed"
    assert "transform" not in unfit.stages
    budget, one_class = unfit.err.splitlines()
    assert re.match(r"fashion: \d of \d+ rows \([\d.]+ %\) are quarantined, more than the 0 % that", budget)
    assert "Correct what " in budget
    assert one_class.startswith("eyewear is the only class with examples")
    assert "add products of other classes" in one_class


def test_a_killed_run_goes_on_where_it_was(shop: Shop, emptied: Run, restarted: Run) -> None:
    assert (restarted.code, restarted.err) == (0, "")
    assert {"ingest", "transform"} <= restarted.cached()
    assert "train" not in restarted.cached()
    assert "features train" not in restarted.log  # they were kept, and are not computed twice
    assert list((shop.root / "work").iterdir()) == []
    older, newer = restarted.held
    assert older == emptied.held[0]
    assert f"\npublished as version {newer}\n" in restarted.out


def test_a_new_model_is_compared_with_the_one_before(restarted: Run) -> None:
    assert restarted.stages["baseline"].startswith("compared with the latest blessed model")


def test_from_leaves_out_the_stages_before(returned: Run) -> None:
    assert list(returned.stages) == ["start", *STAGES[STAGES.index("train") :], "report"]
    assert "train" in returned.cached()


def test_a_model_that_an_older_version_holds_serves_again(restarted: Run, returned: Run) -> None:
    assert returned.code == 0
    *before, newest = returned.held
    assert tuple(before) == restarted.held
    assert f"\npublished as version {newest}\n" in returned.out
