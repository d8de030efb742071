"""What TFDV wrote about the data: anomalies, and how far columns moved since another run."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from tensorflow_metadata.proto.v0 import statistics_pb2

from components.report.facts.data import AnomalyFacts, Drift, DriftFacts
from components.validate.gate import Anomaly, read_anomalies

_STATISTICS_FILE = "FeatureStats.pb"
_ANOMALIES_FILE = "SchemaDiff.pb"

# Other columns name single products or pictures, or are whole numbers without categories.
_COLUMNS = ("masterCategory", "subCategory", "articleType", "gender", "season", "usage", "baseColour")


def anomalies_of(folder: Path) -> list[Anomaly]:
    """Reads an ExampleAnomalies artifact, split by split."""
    files = _of_splits(folder, _ANOMALIES_FILE)
    return [anomaly for split, file in files for anomaly in read_anomalies(split, file.read_bytes())]


def anomaly_facts(anomalies: list[Anomaly]) -> tuple[AnomalyFacts, ...]:
    """The same finding in several splits is told once; severe ones come first."""
    splits: dict[tuple[str, bool, str], list[str]] = {}
    for anomaly in anomalies:
        splits.setdefault((anomaly.feature, anomaly.severe, anomaly.finding), []).append(anomaly.split)
    facts = [AnomalyFacts(name, tuple(where), severe, finding) for (name, severe, finding), where in splits.items()]
    return tuple(sorted(facts, key=lambda anomaly: (not anomaly.severe, anomaly.feature)))


def drift_between(before: Path, now: Path, run: str) -> DriftFacts:
    """Compares two ExampleStatistics artifacts, all splits of each together; `before` is of the other run.

    The distance is the L-infinity norm of the difference between two distributions, which TFDV uses for categorical
    features: https://www.tensorflow.org/tfx/data_validation/get_started#checking_data_skew_and_drift. A missing value
    counts as a value.
    """
    earlier, later = _value_counts(before), _value_counts(now)
    columns = [moved(name, earlier[name], later[name]) for name in _COLUMNS if earlier[name] and later[name]]
    examples = max((counts.total() for counts in earlier.values()), default=0)
    return DriftFacts(run, examples, tuple(sorted(columns, key=lambda drift: -drift.distance)))


def moved(name: str, before: Counter[str], now: Counter[str]) -> Drift:
    """The value whose share changed most between two counts of a column's values; neither is empty."""

    def share(counts: Mapping[str, int], value: str) -> float:
        return counts.get(value, 0) / sum(counts.values())

    most = max(sorted({*before, *now}), key=lambda value: abs(share(now, value) - share(before, value)))
    then, today = share(before, most), share(now, most)
    return Drift(name, abs(today - then), most, then, today)


def _value_counts(folder: Path) -> dict[str, Counter[str]]:
    """Column to its values' counts; the count of "" is that of missing ones."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in _COLUMNS}
    for _, file in _of_splits(folder, _STATISTICS_FILE):
        written = statistics_pb2.DatasetFeatureStatisticsList.FromString(file.read_bytes())
        for feature in written.datasets[0].features:
            name = feature.path.step[0] if feature.path.step else feature.name
            if name in counts and feature.HasField("string_stats"):
                for bucket in feature.string_stats.rank_histogram.buckets:
                    counts[name][bucket.label] += round(bucket.sample_count)
                counts[name][""] += feature.string_stats.common_stats.num_missing
    return counts


def _of_splits(folder: Path, name: str) -> Iterator[tuple[str, Path]]:
    for split in sorted(folder.glob("Split-*")):
        yield split.name.removeprefix("Split-"), split / name
