"""How often each training example is used."""

import numpy as np
import pytest

from components.transform.balance import NOBODY, Tally, quota_of

MOST = 2**63 - 2  # the largest hash there is


def uses(hashes: np.ndarray, base: int, threshold: int) -> np.ndarray:
    return base + (hashes <= threshold)


@pytest.mark.parametrize(
    ("count", "cap", "oversample", "total"),
    [
        (700, 500, None, 500),
        (500, 500, None, 500),
        (499, 500, None, 499),
        (1, 1, None, 1),
        (2, 1, 1, 1),
        (30, None, 100, 100),
        (50, None, 100, 100),
        (99, None, 100, 100),
        (1, None, 100, 100),
        (101, None, 100, 101),
        (30, 500, 100, 100),
        (300, 500, 100, 300),
        (700, 500, 500, 500),
        (7, None, None, 7),
        (0, 500, 100, 0),
    ],
)
def test_class_gets_exactly_its_number_of_examples(count, cap, oversample, total):
    hashes = np.random.default_rng(count).choice(10**6, count, replace=False)
    kept = sorted(hashes)[: max(cap or 0, oversample or 0)]
    each = uses(hashes, *quota_of(count, kept, cap, oversample))
    assert each.sum() == total
    assert count == 0 or each.max() - each.min() <= 1


def test_class_without_a_training_example_is_used_as_it_comes():
    assert quota_of(0, [], cap=500, oversample=100) == (1, NOBODY)


def test_hashes_at_both_ends_of_the_range_are_counted():
    hashes = np.array([0, MOST, MOST - 1])
    assert uses(hashes, *quota_of(3, [0, MOST - 1, MOST], 2, None)).tolist() == [1, 0, 1]
    assert uses(hashes, *quota_of(3, [0, MOST - 1, MOST], None, 4)).tolist() == [2, 1, 1]
    assert uses(hashes, *quota_of(3, [], None, None)).tolist() == [1, 1, 1]


def test_quotas_do_not_depend_on_order_or_number_of_shards():
    random = np.random.default_rng(1)
    labels, hashes = random.choice(3, 5_000, p=[0.8, 0.19, 0.01]), random.integers(0, 2**63 - 1, 5_000)
    found = []
    for shards in (1, 7, 500):
        order = random.permutation(5_000)
        merged = Tally(3, keep=400)
        for part in np.array_split(order, shards):
            tally = Tally(3, keep=400)
            tally.add(labels[part], hashes[part])
            merged.merge(tally)
        found.append(np.stack(merged.quotas(cap=400, oversample=300)).tolist())
        base, threshold = np.array(found[-1])
        each = base[labels] + (hashes <= threshold[labels])
        assert np.bincount(labels, each).tolist() == [400, 400, 300]
    assert found[0] == found[1] == found[2]


def test_memory_is_bounded_by_the_cap_not_by_the_data():
    tally = Tally(2, keep=10)
    for start in range(0, 10_000, 100):
        tally.add(np.zeros(100, np.int64), np.arange(start, start + 100)[::-1])
    assert tally.counts.tolist() == [10_000, 0]
    assert sorted(tally.smallest[0]) == list(range(10))


def test_examples_of_no_class_are_not_counted():
    tally = Tally(2, keep=10)
    tally.add(np.array([-1, 1, -1]), np.array([1, 2, 3]))
    assert tally.counts.tolist() == [0, 1]
