"""Several columns on one trunk: each is learnt from the products that have a value, and one alone is as before."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.errors import RecipeError
from components.networks.classifier import serving_network, soften, softmax_head
from components.networks.profiles import POOL
from components.networks.settings import Model
from components.outside.settings import Decide
from components.outside.thresholds import NEVER, read_decisions
from components.train.calibration import read_calibration
from components.train.columns import check_values, shift_of, tags_of
from components.train.data import Pictures, open_pictures
from components.train.fit import fit
from components.train.losses import make_loss, summed
from components.train.settings import Column, Train
from tests.train.small import CLASSES, SIZE, TRAIN, answers, job_of

pytestmark = pytest.mark.usefixtures("small_backbone")

SIZES = (3, 2)
MIXED = np.array([[1, 0, 0, 0, 1], [0, 1, 0, 0, 0], [0, 0.7, 0.3, 0.7, 0]], np.float32)  # the second has no value
TWO = Column(name="gender", classes=("Men", "Women"), weight=0.5)


def probabilities() -> np.ndarray:
    random = np.random.default_rng(1)
    return np.concatenate([random.dirichlet(np.ones(size), 3) for size in SIZES], axis=1).astype(np.float32)


def pictures_of(labels: list[int], tags: list[list[int]], columns: tuple[str, ...]) -> Pictures:
    natural, kinds = np.array(labels), np.zeros(len(labels), object)
    return Pictures((), (), natural, natural, kinds, np.array(tags), np.arange(len(labels)), columns, False, SIZE)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_missing_value_adds_nothing_to_the_loss_and_a_mixed_one_its_part(smoothing) -> None:
    one = make_loss(Train(label_smoothing=smoothing), np.array([0]), 2)
    answered = probabilities()
    main = float(one(MIXED[:, :3], answered[:, :3]))
    tags = [float(one(np.array([target], np.float32), answered[row : row + 1, 3:]))
            for row, target in ((0, [0, 1]), (2, [1, 0]))]  # fmt: skip
    total = summed([one, one], SIZES, [1.0, 0.5])(MIXED, answered)
    assert float(total) == pytest.approx(main + 0.5 * (tags[0] + 0.7 * tags[1]) / 3, rel=1e-5)


def test_one_column_has_its_own_loss() -> None:
    one = make_loss(Train(), np.array([0]), 3)
    assert summed([one], SIZES[:1], [1.0]) is one


def test_each_column_has_a_temperature_and_a_doubt_of_its_own() -> None:
    head = softmax_head(Model(weights="none"), 4, np.zeros(5), SIZES)
    places = keras.Input((1, 1, 4))
    trunk = keras.Model(places, keras.layers.GlobalAveragePooling2D(name=POOL)(places))
    pictures = np.random.default_rng(0).normal(size=(6, 1, 1, 4)).astype(np.float32)
    before = np.split(np.log(serving_network(trunk, head)(pictures)[0]), [3], axis=1)
    soften(head, [2.0, 0.5])
    after = np.split(serving_network(trunk, head, doubt=[0.3, 0.1])(pictures)[0], [3], axis=1)
    for logits, answer, temperature, doubt, size in zip(before, after, (2.0, 0.5), (0.3, 0.1), SIZES, strict=True):
        softened = tf.nn.softmax(logits / temperature, axis=1)
        assert answer == pytest.approx((1 - doubt) * softened + doubt / size, abs=1e-5)


def test_in_a_hierarchy_only_what_was_seen_together_may_be_answered_together() -> None:
    columns = ("subCategory", "masterCategory", "gender")
    tags = [[0, 0, 0], [0, 0, 1], [1, 0, -1], [2, 1, 0], [-1, 1, 0], [0, -1, 0]]
    train = pictures_of([0, 0, 1, 2, 3, 0], tags, columns)
    chosen = [
        Column(name=name, classes=tuple("abc"[:size]), weight=1) for name, size in zip(columns, (3, 2, 2), strict=True)
    ]
    sub, master, gender = tags_of(train, "articleType", 4, chosen)
    assert sub.allowed.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]  # the last type has no value
    assert (sub.finer, master.finer) == (0, 1)
    assert master.allowed.tolist() == [[1, 0], [1, 0], [0, 1]]
    assert gender.allowed is None
    assert [tag.allowed is None for tag in tags_of(train, "six_class", 4, chosen)] == [True, False, True]


def test_a_column_without_a_value_in_a_split_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"labels.columns.gender: no product of the split eval has a value"):
        check_values("eval", pictures_of([0, 1], [[-1], [-1]], ("gender",)))


def test_the_shift_of_a_column_counts_the_products_that_have_a_value() -> None:
    train = pictures_of([0, 1, 1], [[0], [1], [-1]], ("gender",))
    train = replace(train, labels=np.array([0, 0, 1]), rows=np.array([0, 0, 1]))
    shift = shift_of(train, (2, 2), 1.0)
    assert shift == pytest.approx(np.log([3 / 5 / (2 / 5), 2 / 5 / (3 / 5), 3 / 5 / (2 / 4), 2 / 5 / (2 / 4)]))


@pytest.mark.slow
def test_a_network_learns_both_columns_and_is_scaled_in_each(data: Path, tmp_path: Path) -> None:
    train, held_out = (
        open_pictures([f"{data}/{split}*"], balanced=split == "train", size=SIZE, columns=("gender",))
        for split in ("train", "eval")
    )
    batches = [targets for _, targets in held_out.batches(4)]
    assert np.array_equal(np.concatenate(batches), held_out.targets)
    job = job_of(data, tmp_path, TRAIN.model_copy(update={"finetune": None, "calibrate": True}))
    job = replace(
        job, shift=np.zeros(CLASSES + 2), columns=(TWO,), train_pictures=train, eval_pictures=held_out, decide=Decide()
    )
    main, gender = np.split(answers(fit(job), held_out), [CLASSES], axis=1)
    known = held_out.labels < 2
    assert (main.argmax(1) == held_out.labels).mean() > 0.7
    assert (gender.argmax(1) == held_out.labels)[known].mean() > 0.7
    assert 0 < read_decisions(job.work).tags["gender"] <= NEVER
    scaled = read_calibration(job.work)
    assert (scaled.examples, scaled.tags["gender"].examples) == (len(held_out), known.sum())
