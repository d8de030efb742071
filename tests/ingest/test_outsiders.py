"""Which products of no class are read, which of their kinds training never sees, and where they go."""

import numpy as np
import pytest

from components.errors import RecipeError
from components.ingest.outsiders import LEFT_OUT, divide_outsiders, draw
from components.ingest.settings import Split
from components.ingest.split import divide, key_of
from components.outside.settings import Outside
from tests.ingest.test_split import products, saved_anew

KINDS = ("Belts", "Dresses", "Sarees", "Ties", "Watches", "")
ROWS = [(str(number), KINDS[number % len(KINDS)]) for number in range(600)]
SPLIT = Split(train=8, eval=1, test=1)
TRAIN, EVAL, TEST = range(3)


def outsiders(count: int, seed: int = 1, kind: int = 1, variants: int = 0) -> np.ndarray:
    columns = products(count, seed, variants)
    columns["key"] = [key_of(f"outsider {number}") for number in range(count)]
    columns["kind"] = kind
    return columns


def divided(outside: np.ndarray, inside: np.ndarray, unseen: tuple[int, ...] = (), rules: Split = SPLIT) -> np.ndarray:
    return divide_outsiders(outside, inside, divide(inside, rules).splits, unseen, rules)


def test_a_third_of_the_kinds_is_never_shown_whatever_the_order_of_the_table():
    drawn = draw(ROWS, Outside())
    assert len(drawn.unseen) == 2
    assert "" not in drawn.unseen, "what has no kind may be anything"
    assert draw(ROWS[::-1], Outside()) == drawn


def test_two_kinds_are_enough_to_keep_one_unseen():
    assert len(draw(ROWS[:2], Outside(unseen=0.01)).unseen) == 1
    assert draw(ROWS[:1], Outside()).unseen == ()
    assert draw(ROWS, Outside(unseen=0.0)).unseen == ()
    assert draw((), Outside()).kinds == ()


def test_unseen_kinds_may_be_named_and_a_wrong_name_is_refused():
    assert draw(ROWS, Outside(unseen=("Ties", "Belts"))).unseen == ("Belts", "Ties")
    with pytest.raises(RecipeError, match=r"outside.unseen: no product of no class is 'Tie'; did you mean 'Ties'"):
        draw(ROWS, Outside(unseen=("Tie",)))


def test_no_more_rows_are_read_than_the_recipe_says_and_the_rest_is_counted():
    drawn = draw(ROWS, Outside(most=100))
    taken = {product for product, _ in ROWS if key_of(product) <= drawn.last}
    assert (len(taken), drawn.left) == (100, 500)
    more = draw([*ROWS, ("new", "Ties")], Outside(most=100))
    assert len(taken & {product for product, _ in ROWS if key_of(product) <= more.last}) >= 99


def test_shown_kinds_are_split_like_the_rest_and_unseen_ones_are_tested_on_alone():
    inside, shown, unseen = products(500), outsiders(2000), outsiders(300, seed=2, kind=2)
    unseen["key"] += np.uint64(1)
    splits = divided(np.concatenate([shown, unseen]), inside, unseen=(2,))
    shares = np.bincount(splits[:2000], minlength=4) / 2000
    assert shares == pytest.approx([0.8, 0.1, 0.1, 0], abs=0.03)
    assert set(splits[2000:].tolist()) == {TEST}


def test_outsiders_go_where_pictures_like_theirs_are():
    inside = products(300)
    twins = saved_anew(inside)
    twins["key"], twins["kind"] = outsiders(300)["key"], 1
    assert divided(twins, inside).tolist() == divide(inside, SPLIT).splits.tolist()
    inside, variants = products(300, variants=1), outsiders(300, variants=1)
    inside["variants"][:, 0] = variants["variants"][:, 0] = np.arange(300)
    assert divided(variants, inside).tolist() == divide(inside, SPLIT).splits.tolist()


def test_what_training_has_seen_is_no_unseen_kind():
    inside = products(300)
    twins = saved_anew(inside)
    twins["key"], twins["kind"] = outsiders(300)["key"], 2
    splits = divided(twins, inside, unseen=(2,))
    tested = divide(inside, SPLIT).splits == TEST
    assert set(splits[tested].tolist()) == {TEST}
    assert set(splits[~tested].tolist()) == {LEFT_OUT}
    shown = outsiders(50)
    same = saved_anew(shown)
    same["key"] += np.uint64(1)
    same["kind"] = 2
    assert set(divided(np.concatenate([shown, same]), inside, unseen=(2,)).tolist()) == {TEST}, "their like comes along"


def test_outsiders_of_odd_years_are_tested_on_as_products_of_the_classes_are():
    rules = Split(by="year", train=8, eval=2)
    outside = outsiders(100)
    outside["tested"][:40] = True
    splits = divided(outside, products(100), rules=rules)
    assert set(splits[:40].tolist()) == {TEST}
    assert set(splits[40:].tolist()) == {TRAIN, EVAL}


def test_counts_name_every_kind_and_what_was_left_out():
    drawn = draw(ROWS, Outside(unseen=("Ties",), most=550))
    ties = drawn.unseen_numbers[0]
    kinds, splits = np.array([ties, ties, 1]), np.array([TEST, LEFT_OUT, TRAIN], np.uint8)
    assert drawn.summary(kinds, splits, {"small picture": 2}) == {
        "column": "articleType",
        "kinds": {"": {"train": 1, "eval": 0, "test": 0}, "Ties": {"train": 0, "eval": 0, "test": 1}},
        "unseen": ["Ties"],
        "left": 50,
        "alike": 1,
        "unreadable": {"small picture": 2},
    }
