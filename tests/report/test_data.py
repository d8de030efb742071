"""What a report says of the data: duplicates, histograms, drift and the quarantine."""

import json
from pathlib import Path

import numpy as np
import pytest
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.report import data_section as data
from components.report.duplicates_section import duplicate_rows, duplicates_of
from components.report.examples import Table
from components.report.statistics import drift_between
from tests.report.inputs import CLASSES


def table(hashes: list[str], labels: list[int]) -> Table:
    count = len(hashes)
    whole, text = np.full(count, 60), np.array([""] * count, object)
    return Table(
        splits=np.array(["train", "test"])[np.arange(count) % 2],
        ids=np.array([str(i) for i in range(count)]),
        labels=np.array(labels),
        hashes=np.array(hashes),
        widths=whole,
        heights=whole,
        sizes=whole,
        brightness=np.zeros(count),
        texts=dict.fromkeys((*data.COLUMNS, "productDisplayName"), text),
    )


def test_contradictory_duplicates_are_counted_and_shown_first_with_both_classes():
    of = table(["a", "b", "b", "b", "b", "b", "b", "b", "c", "c", "d"], [0, 1, 1, 1, 1, 1, 1, 1, 0, 2, 0])
    groups = duplicate_rows(of, np.unique(of.hashes, return_inverse=True)[1])
    found = duplicates_of(of, groups, CLASSES, lambda product: product.encode())
    assert (found.groups, found.products, found.contradictory) == (2, 9, 1)
    assert [product.class_name for product in found.samples[0].products] == ["topwear", "eyewear"]
    assert found.samples[0].contradictory
    assert not found.samples[1].contradictory


def test_no_duplicates_are_none():
    of = table(["a", "b"], [0, 1])
    assert duplicates_of(of, duplicate_rows(of, np.arange(2)), CLASSES, lambda _: None).groups == 0


def test_histograms_count_every_picture_even_where_all_are_alike():
    assert data.histogram("width", "px", np.full(7, 60)).counts == (7,)
    assert sum(data.histogram("size", "kB", np.arange(1000)).counts) == 1000


def write_statistics(folder: Path, counts: dict[str, int], missing: int) -> Path:
    written = statistics_pb2.DatasetFeatureStatisticsList()
    feature = written.datasets.add().features.add()
    feature.path.step.append("season")
    feature.string_stats.common_stats.num_missing = missing
    for value, count in counts.items():
        feature.string_stats.rank_histogram.buckets.add(label=value, sample_count=count)
    (folder / "Split-train").mkdir(parents=True)
    (folder / "Split-train" / "FeatureStats.pb").write_bytes(written.SerializeToString())
    return folder


def test_drift_is_the_largest_change_of_a_share_missing_values_among_them(tmp_path):
    before = write_statistics(tmp_path / "before", {"Summer": 60, "Winter": 30}, missing=10)
    now = write_statistics(tmp_path / "now", {"Summer": 100, "Winter": 60}, missing=40)
    found = drift_between(before, now, "monday")
    [season] = found.columns
    assert (found.run, found.examples, season.column, season.value) == ("monday", 100, "season", "")
    assert (season.before, season.now, season.distance) == pytest.approx((0.1, 0.2, 0.1))


def test_quarantine_lists_samples_of_every_reason_under_its_count(tmp_path):
    (tmp_path / "summary.json").write_text(
        json.dumps(
            {
                "rows": 12, "examples": {"train": 2}, "classes": {"shoes": {"train": 2}},
                "quarantined": {"broken picture": 8, "bad id": 1}, "unmapped": {"Belts": 1}, "repaired": {"commas": 1},
            }
        )
    )  # fmt: skip
    lines = [f"{row},{row},broken picture,detail" for row in range(2, 10)]
    (tmp_path / "quarantine.csv").write_text("\n".join(["row,id,reason,detail", "1,x,bad id,detail", *lines]))
    found = data.from_quarantine(tmp_path, CLASSES, lambda product: b"jpeg" if product == "2" else None)
    assert [(each.reason, each.count, len(each.samples)) for each in found.quarantined] == [
        ("broken picture", 8, 6),
        ("bad id", 1, 1),
    ]
    assert [sample.picture for sample in found.quarantined[0].samples[:2]] == [b"jpeg", None]
    assert [counts.name for counts in found.classes] == list(CLASSES)
