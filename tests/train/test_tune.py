"""The search for better settings: what it may try, what it shares, how it goes on after a kill, and what it leaves."""

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from components.errors import RecipeError, WeightsError, causes
from components.ingest.settings import Picture
from components.networks.settings import Model
from components.progress import Progress, listen
from components.train.settings import Finetune, Head, Train
from components.tune.space import Tune, with_values
from pipeline.recipe import load_recipe
from pipeline.stages import STAGES, stages_of

CLASSES = ("topwear", "shoes", "underwear")
LEARNING_RATE, DROPOUT, UNFREEZE = "train.head.learning_rate", "model.dropout", "train.finetune.unfreeze_from"
RATE_ABOVE = "train.finetune.learning_rate"
RATES = {LEARNING_RATE: {"values": [1e-6, 0.3]}}
TRAIN = Train(
    batch_size=8, ema=0.5, strategy="none",
    head=Head(epochs=4, learning_rate=1e-6, views=2), finetune=Finetune(epochs=1, unfreeze_from="block7"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ("train.head.lerning_rate: {min: 1e-4, max: 1}", "no such setting to tune; did you mean 'train.head.learning"),
        ("split.train: {values: [70, 80]}", "tune.space.split.train: this recipe has no such setting to tune"),
        ("train.seed: {values: [1, 2]}", "tune.space.train.seed: this recipe has no such setting to tune"),
        ("model.dropout: {values: [0.1, 1.5]}", "1.5 cannot be tried: model.dropout: 1.5 should be less than 1"),
        ("model.dropout: {min: 0.1, max: 1}", "1 cannot be tried: model.dropout: 1 should be less than 1"),
        ("model.dropout: {min: 0.5, max: 0.5}", "tune.space.model.dropout: nothing lies between min 0.5 and max 0.5"),
        ("model.dropout: {min: 0, max: 0.5, log: true}", "min has to be above 0"),
        ("model.dropout: {min: 0.1}", "tune.space.model.dropout: give min and max, or values"),
        ("model.dropout: {min: 0.1, values: [0.1, 0.2]}", "give either values, or min and max"),
        ("model.dropout: {values: [0.1]}", "values: give at least two"),
        ("model.dropout: {vals: [0.1]}", "tune.space.model.dropout.vals: unknown key; did you mean 'values'"),
        ("train.batch_size: {min: 1.5, max: 64}", "train.batch_size: 1.5 should be a valid integer"),
        ("train.optimizer: {min: 1, max: 2}", "tune.space.train.optimizer: it is not a number; give values"),
        ("train.optimizer: {values: [adam, adamm]}", "'adamm' cannot be tried: train.optimizer: 'adamm' should be"),
        ("train.finetune.unfreeze_from: {values: [top, block9]}", "efficientnet_b0 has no part 'block9'"),
        ("", "tune.space: "),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused_by_name(space, said):
    with pytest.raises(RecipeError) as refusal:
        load_recipe("six_class", [f"tune={{trials: 3, space: {{{space}}}}}"])
    assert said in str(refusal.value)


def test_an_epoch_limit_that_leaves_nothing_after_the_warm_up_is_refused():
    warm = ["train.finetune.schedule=cosine", "train.finetune.warmup=2"]
    search = "tune={trials: 3, epochs: 2, space: {train.finetune.learning_rate: {min: 1e-5, max: 1e-3}}}"
    with pytest.raises(RecipeError, match=r"tune.epochs: finetune: warmup 2 leaves nothing of 2"):
        load_recipe("six_class", [*warm, search])


def test_a_recipe_that_is_searched_reads_back_the_same(tmp_path):
    recipe = load_recipe("six_class", ["tune={trials: 3, space: {train.batch_size: {min: 16, max: 64, log: true}}}"])
    (tmp_path / "six_class.yaml").write_text(recipe.as_yaml())
    assert load_recipe(str(tmp_path / "six_class.yaml")) == recipe


def test_there_is_a_stage_for_the_search_only_where_a_recipe_asks_for_one():
    plain = load_recipe("six_class")
    searched = load_recipe("six_class", ["tune={trials: 3, space: {model.dropout: {min: 0, max: 0.5}}}"])
    assert stages_of(plain) == STAGES
    assert set(stages_of(searched)) - set(STAGES) == {"tune"}
    assert stages_of(searched).index("tune") == STAGES.index("train")


def test_trials_fine_tune_only_where_that_is_what_is_searched():
    of_head, of_both = tune(RATES, epochs=3), tune({**RATES, UNFREEZE: {"values": ["block7", "stem"]}}, epochs=3)
    mixing = with_values(TRAIN, {"augment.mixup": 0.2})
    assert of_head.trial_of(mixing).finetune is None
    assert of_both.trial_of(mixing).finetune == TRAIN.finetune
    assert of_both.trial_of(with_values(TRAIN, {"head": None})).head is None
    assert of_head.trial_of(TRAIN).head.epochs == 3


def tune(space: dict[str, dict[str, Any]], trials: int = 4, **given: Any) -> Tune:
    return Tune.model_validate({"trials": trials, "space": space, **given})


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory, small_backbone: None) -> Path:
    """Examples as Transform leaves them."""
    from tests.train.small import write_examples

    folder = tmp_path_factory.mktemp("examples")
    for split, count, seed in (("train", 16, 0), ("eval", 10, 2)):
        (folder / f"Split-{split}").mkdir()
        write_examples(folder / f"Split-{split}" / "part-0.gz", [0, 1, 2] * count, [1] * 3 * count, seed)
    return folder


def searched(examples: Path, root: Path, of: Tune, train: Train = TRAIN) -> list[dict[str, str]]:
    """Runs the stage's executor; returns its table. Its artifacts lie in root/best and root/results."""
    from tfx.types import standard_artifacts as types

    from components.tune.component import Executor, TunerConfig

    given = types.Examples()
    given.uri, given.split_names = str(examples), '["train", "eval"]'
    best, results = types.HyperParameters(), types.TunerResults()
    for artifact, name in ((best, "best"), (results, "results")):
        artifact.uri = str(root / name)
        (root / name).mkdir(parents=True, exist_ok=True)
    config = TunerConfig(trainer=trainer_config(root, train), tune=of, code="0")
    Executor().Do(
        {"examples": [given]},
        {"best_hyperparameters": [best], "tuner_results": [results]},
        {
            "tuner_fn": "components.tune.component.tuner_fn",
            "train_args": '{"splits": ["train"]}',
            "eval_args": '{"splits": ["eval"]}',
            "custom_config": json.dumps({"config": config.model_dump_json()}),
        },
    )
    with (root / "results" / "trials.csv").open() as lines:
        return list(csv.DictReader(lines))


def trainer_config(root: Path, train: Train) -> Any:
    from components.train.trainer import TrainerConfig

    model = Model(backbone="efficientnet_lite0", weights="none")
    return TrainerConfig(
        picture=Picture(size=32), model=model, train=train, classes=CLASSES, work=str(root / "work"), code="0"
    )


def parts(reports: Sequence[Progress]) -> list[str]:
    """What was under way, each once."""
    return list(dict.fromkeys(progress.part for progress in reports))


@pytest.mark.slow
def test_the_best_on_eval_is_found_and_the_trainer_trains_with_it_on_the_same_features(examples, tmp_path, monkeypatch):
    from tfx.components.trainer.fn_args_utils import FnArgs

    from components.train import trainer

    reports: list[Progress] = []
    with listen(reports.append):
        table = searched(examples, tmp_path, tune(RATES, trials=2))
    scores = [float(row["macro_f1"]) for row in table]
    assert table[0][LEARNING_RATE] == "0.3"
    assert (table[1]["trial"], table[1][LEARNING_RATE]) == ("1", "1e-06")  # the recipe's own
    assert scores[0] > scores[1]
    assert [progress.part for progress in reports].count("features train") == 1
    assert [part for part in parts(reports) if part.startswith("trial ")] == ["trial 1/2 head", "trial 2/2 head"]
    [left] = (tmp_path / "work").iterdir()
    assert {file.name for file in left.iterdir()} == {"features-train.npy", "features-eval.npy"}

    best = json.loads((tmp_path / "best" / "best_hyperparameters.txt").read_text())
    assert best["values"] == {LEARNING_RATE: 0.3}
    reports.clear()
    monkeypatch.setattr(trainer, "tft", MagicMock())  # what is exported is another test's
    monkeypatch.setattr(trainer, "Classifier", MagicMock())
    (tmp_path / "model" / "assets.extra").mkdir(parents=True)
    with listen(reports.append):
        trainer.run_fn(
            FnArgs(
                train_files=[f"{examples}/Split-train/*"],
                eval_files=[f"{examples}/Split-eval/*"],
                model_run_dir=str(tmp_path / "run"),
                serving_model_dir=str(tmp_path / "model"),
                hyperparameters=best,
                custom_config={"config": trainer_config(tmp_path, TRAIN).model_dump_json()},
            )
        )
    assert parts(reports) == ["head", "finetune"]
    with (tmp_path / "run" / "head.csv").open() as lines:
        assert float(next(csv.DictReader(lines))["learning_rate"]) == pytest.approx(0.3)
    assert json.loads((tmp_path / "run" / "tuned.json").read_text()) == best["values"]
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.slow
def test_features_that_a_search_leaves_belong_to_one_training_alone(tmp_path):
    from components.train.trainer import features_name, work_folder
    from components.tune.trial import Trials

    kept = []
    for name, epochs in (("first", 1), ("second", 2)):  # of the tuned trunk: both use the same features
        config = trainer_config(tmp_path, TRAIN.model_copy(update={"finetune": Finetune(epochs=epochs)}))
        trials = Trials(config, tune(RATES), ("train",), ("eval",), None, tmp_path / "work" / name)
        (features := trials.work / features_name(config, ["train", "eval"])).mkdir(parents=True)
        (features / "features-train.npy").write_text(name)
        trials.keep_features_of({})
        kept.append(work_folder(config, ["train", "eval"]) / "features-train.npy")
        assert kept[-1].read_text() == name
        features.mkdir()
        (features / "features-train.npy").write_text("another run's, later")
        trials.keep_features_of({})  # while a training uses them
    shutil.rmtree(kept[0].parent)  # as the Trainer does in the end
    assert kept[1].read_text() == "second"


def search_of(work: Path, of: Tune, tried: list[float], stop_at: int = 0) -> Any:
    """A search whose trials come to figures by a formula: best at a dropout of 0.3, failing above 0.6."""
    from components.tune.component import Search
    from components.tune.trial import Trials

    class Formula(Trials):
        def _figures(self, values, folder, title):
            tried.append(values[DROPOUT])
            if len(tried) == stop_at:
                raise KeyboardInterrupt
            if values[DROPOUT] > 0.6:
                raise RecipeError("too much")
            return dict.fromkeys(("accuracy", "macro_f1", "macro_auprc", "loss"), 1 - abs(values[DROPOUT] - 0.3))

    work.mkdir(exist_ok=True)
    return Search(Formula(trainer_config(work, TRAIN), of, (), (), None, work))


# One dimension: from the fourth trial that comes to figures on, the values follow from the outcomes before.
FIVE = {DROPOUT: {"min": 0.0, "max": 0.9}}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, list[float]]:
    """A search that ran through, and what it tried."""
    tried: list[float] = []
    search = search_of(tmp_path_factory.mktemp("whole") / "work", tune(FIVE, trials=5), tried)
    search.search()
    return search, tried


@pytest.mark.slow
def test_a_search_that_was_killed_goes_on_where_it_was_and_tries_the_same(whole, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        search_of(tmp_path / "work", tune(FIVE, trials=5), [], stop_at=5).search()
    rest: list[float] = []
    again = search_of(tmp_path / "work", tune(FIVE, trials=5), rest)
    again.search()
    search, tried = whole
    assert rest == tried[4:]
    assert [outcome.values for _, outcome in again.ranked()] == [outcome.values for _, outcome in search.ranked()]


@pytest.mark.slow
def test_the_table_lists_all_trials_the_best_first_and_what_failed_last_with_the_reason(whole, tmp_path):
    search, tried = whole
    search.finish(tmp_path)
    with (tmp_path / "trials.csv").open() as lines:
        table = list(csv.DictReader(lines))
    assert [float(row[DROPOUT]) for row in table] == sorted(tried, key=lambda value: abs(value - 0.3))
    assert [row["state"] for row in table] == ["done"] * 4 + ["failed"]
    assert float(table[0]["macro_f1"]) == pytest.approx(1 - abs(float(table[0][DROPOUT]) - 0.3))
    assert (table[-1]["reason"], table[-1]["macro_f1"]) == ("too much", "")
    assert search.get_best_hyperparameters()[0].values == {DROPOUT: float(table[0][DROPOUT])}


@pytest.mark.slow
def test_the_lowest_loss_is_the_best(tmp_path):
    search = search_of(tmp_path, tune({DROPOUT: {"values": [0.1, 0.2, 0.3]}}, trials=3, objective="loss"), [])
    search.search()
    assert search.get_best_hyperparameters()[0].values == {DROPOUT: 0.1}


@pytest.mark.slow
def test_a_search_in_which_every_trial_fails_is_refused(tmp_path):
    search = search_of(tmp_path, tune({DROPOUT: {"values": [0.7, 0.8]}}, trials=2), [])
    with pytest.raises(RecipeError, match="none of 2 trials came to figures; the first: too much"):
        search.search()


@pytest.mark.slow
def test_what_no_settings_can_fix_ends_the_search_with_its_own_error(tmp_path, monkeypatch):
    from components.tune.trial import Trials

    def unreachable(*_: object) -> None:
        raise WeightsError("no weights")

    monkeypatch.setattr(Trials, "outcome", unreachable)
    search = search_of(tmp_path, tune({DROPOUT: {"values": [0.1, 0.2]}}, trials=2), [])
    with pytest.raises(Exception, match="no weights") as raised:
        search.search()
    assert any(isinstance(cause, WeightsError) for cause in causes(raised.value))


@pytest.mark.slow
def test_an_unfreeze_depth_is_tried_by_fine_tuning(examples, tmp_path):
    reports: list[Progress] = []
    with listen(reports.append):
        table = searched(examples, tmp_path, tune({UNFREEZE: {"values": ["stem", "block7"]}}, trials=1, epochs=1))
    assert [row[UNFREEZE] for row in table] == ["block7"]
    assert [part for part in parts(reports) if "finetune" in part] == ["trial 1/1 finetune"]


@pytest.mark.slow
def test_trials_that_fine_tune_share_what_the_frozen_part_makes_of_the_pictures(examples, tmp_path):
    cached = with_values(TRAIN, {"finetune.views": 2})
    reports: list[Progress] = []
    with listen(reports.append):
        table = searched(examples, tmp_path, tune({RATE_ABOVE: {"values": [1e-6, 1e-2]}}, trials=2), cached)
    assert [row["state"] for row in table] == ["done", "done"]
    assert [progress.part for progress in reports].count("activations train") == 1
    assert {"trial 1/2 finetune", "trial 2/2 finetune"} <= set(parts(reports))


@pytest.mark.slow
def test_the_graph_searches_before_it_trains():
    from pipeline.kubeflow.compiler import read_graph

    recipe = load_recipe("six_class", ["tune={trials: 3, space: {model.dropout: {min: 0, max: 0.5}}}"])
    nodes = read_graph(recipe)
    assert list(nodes) == list(stages_of(recipe))
    assert nodes["train"].inputs["hyperparameters"] is nodes["tune"].outputs["best_hyperparameters"]
    assert "hyperparameters" not in read_graph(load_recipe("six_class"))["train"].inputs
