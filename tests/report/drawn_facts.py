"""Facts of runs that never were, for the tests of what is made of facts."""

import dataclasses
import io
from pathlib import Path

import numpy as np
from PIL import Image

from components.evaluate.verdict import ClassFigures
from components.export.copies import Copy
from components.export.parity import Parity
from components.index.summary import IndexSummary, Relevance
from components.networks.profiles import PROFILES
from components.outside.assessment import Assessment, Kind, Outsiders, Point
from components.outside.shares import Confusion, Group, Proportion, TagFigures
from components.report.facts import Gap, RunFacts
from components.report.facts.data import (
    AnomalyFacts,
    ClassCounts,
    Column,
    Count,
    DataFacts,
    Drift,
    DriftFacts,
    DuplicateGroup,
    Duplicates,
    Histogram,
    Listing,
    QuarantineReason,
    QuarantineSample,
)
from components.report.facts.quality import (
    Answer,
    Bin,
    Calibration,
    ConfusedPair,
    Coverage,
    Curve,
    Neighbour,
    OutsideFacts,
    PictureFacts,
    ProductAnswers,
    QualityFacts,
    Similar,
    SliceQuality,
)
from components.report.facts.training import Block, Epoch, Network, Phase, TrainingFacts
from components.report.facts.verdict import Baseline, ProvenanceFacts, Reason, StageTime, Use, VerdictFacts

HOSTILE = "<script>alert(1)</script></script><!--\"'&amp;{{7*7}}"
STAGES = ("ingest", "schema", "statistics", "validate", "gate", "transform", "train", "baseline", "evaluate", "publish")

_WORDS = ("Casual Shoes", "Perfume and Body Mist", "Tshirts", "Flip Flops", "Sunglasses", "Bra", "Free Gifts", "Kurtas")


def full_facts(classes: int = 6, *, pictures: int = 12, side: int = 160, name: str = HOSTILE) -> RunFacts:
    """A published run with every part there.

    Args:
        classes: how many, at least 2.
        pictures: in each part of the gallery.
        side: of the pictures' longer side, pixels.
        name: of the products.
    """
    making = _Maker(classes, pictures, side, name)
    quality = making.quality()
    recalls = [(of.recall, of.name) for of in quality.classes if of.recall is not None]
    verdict = VerdictFacts(
        "published", "Published as version 1795237860.", version=1795237860, serving=1795237860,
        accuracy=quality.accuracy, macro_f1=quality.macro_f1, lowest_recall=min(recalls)[0],
        lowest_recall_class=min(recalls)[1],
        baseline=Baseline(0.9012, {of.name: of.baseline_recall for of in quality.classes}),
        gate={
            "accuracy": 0.71, "recall": 0.12, "precision": 0.0, "regression": 0.005, "class_regression": 0.03,
            "macro_f1": 0.523, "macro_auprc": 0.517, "ece": 0.211,
        },
        rare="2 classes with fewer than 20 test examples, 31 in all, are judged together.",
    )  # fmt: skip
    return RunFacts(
        run="2026-11-21T04-57-51",
        recipe="edgenet",
        began=1795237078.63,
        seconds=782.134,
        classes=making.names,
        verdict=verdict,
        data=making.data(),
        training=making.training(),
        quality=quality,
        outside=making.outside(),
        pictures=making.gallery(),
        provenance=provenance(),
        doubts=making.gallery().worst[:3],
        copies=copies(making.names[0]),
        index=INDEX,
    )


INDEX = IndexSummary(
    "1795237901", 39_874, 5, 0.994,
    {"articleType": Relevance(0.7912, 0.5748, 1326), "articleType+baseColour": Relevance(0.4253, 0.2081, 1319)},
)  # fmt: skip


def copies(class_name: str) -> tuple[Copy, ...]:
    """One copy that was published, and one that was refused."""
    fine = Parity(2664, 0.9996, 0.9991, 0.9999, 0.994, 0.9944, 1, 0, class_name, 0.971, class_name, 0.004)
    poor = dataclasses.replace(fine, same=0.91, accuracy=0.908, fall=0.21, refused="recall of <shoes> falls")
    return Copy("onnx", Path("exports/onnx/7"), fine, 13_500_000), Copy("litert-int8", None, poor, 4_040_000)


def refused_facts() -> RunFacts:
    """A run whose data were refused: nothing was trained."""
    full = full_facts()
    assert full.data is not None
    assert full.provenance is not None
    anomalies = (AnomalyFacts("baseColour", ("train", "eval"), severe=True, finding="Unexpected string values: Blu"),)
    stages = tuple(
        dataclasses.replace(of, state="failed" if of.name == "gate" else of.state) for of in full.provenance.stages[:5]
    )
    return dataclasses.replace(
        full,
        verdict=VerdictFacts(
            "data refused",
            "The data are not fit to train on. Nothing was trained.",
            (Reason(None, "baseColour has values that the schema does not know."),),
        ),
        data=dataclasses.replace(full.data, anomalies=anomalies, drift=None),
        training=None,
        quality=None,
        outside=None,
        copies=(),
        index=None,
        pictures=None,
        doubts=(),
        provenance=dataclasses.replace(full.provenance, stages=stages),
        gaps=(
            Gap("training", "everything", "The run ended before train did."),
            Gap("quality", "answers of the model", "The run ended before train did."),
            Gap("data", "drift", "There are no earlier data of this recipe to compare with."),
            Gap("data", "weather", "Nobody looked out of the window."),
        ),
    )


def empty_facts() -> RunFacts:
    """A run of which nothing is known but that it was."""
    return RunFacts(
        "2026-11-22T00-00-00", "six_class", 1795237078.0, None, (), VerdictFacts("failed", "ingest failed.")
    )


def provenance() -> ProvenanceFacts:
    """Where a run comes from."""
    made = {"ingest": ("Examples", "Quarantine"), "schema": ("Schema",), "statistics": ("ExampleStatistics",),
            "validate": ("ExampleAnomalies",), "gate": ("DataVerdict",), "transform": ("TransformGraph",),
            "train": ("Model", "ModelRun"), "evaluate": ("ModelBlessing",), "publish": ("PushedModel",)}  # fmt: skip
    taken = {"statistics": ("Examples", "Schema"), "validate": ("ExampleStatistics",), "gate": ("ExampleAnomalies",),
             "transform": ("Examples", "DataVerdict"), "train": ("TransformGraph",), "baseline": ("Earlier",),
             "evaluate": ("Model", "Earlier"), "publish": ("Model", "ModelBlessing")}  # fmt: skip
    ways = {"takes": taken, "makes": made}
    lineage = tuple(
        Use(stage, way, artifact, f"/runs/{artifact}/1")
        for stage in STAGES
        for way, artifacts in ways.items()
        for artifact in artifacts.get(stage, ())
    )
    return ProvenanceFacts(
        recipe=f"name: edgenet\nbalance:\n  cap: 500\n# {HOSTILE}\n",
        command="fashion run --recipe recipe.yaml --data 'my shop.zip'",
        data="/data/my shop.zip",
        data_digest="31bbf34b2a2b21f521f5c9fda0b78c2e",
        code_digest="86b075c1e12618eb",
        commit="04bd0f66b374eebc6d805cc279aa83bdb19c3823",
        modified=True,
        versions={"tfx": "1.21.0", "tensorflow": "2.21.0"},
        machine={"system": "Linux", "processors": "2"},
        stages=tuple(StageTime(name, "complete", 1.5 * i) for i, name in enumerate(STAGES)),
        lineage=lineage,
    )


def _bin(number: int) -> Bin:
    if number == 0:
        return Bin(0.0, 1 / 15, 0, None, None)
    return Bin(number / 15, (number + 1) / 15, 10 * number, (number + 0.5) / 15, (number + 1) / 15)


class _Maker:
    def __init__(self, classes: int, pictures: int, side: int, name: str) -> None:
        self.random = np.random.default_rng(classes)
        self.names = tuple(f"{_WORDS[i % len(_WORDS)]} {i}" for i in range(classes))
        self.pictures, self.side, self.name = pictures, side, name
        self.count = 0

    def jpeg(self) -> bytes:
        """Coarse noise: as many bytes as a photograph of a product has."""
        coarse = self.random.integers(0, 255, (18, 14, 3), np.uint8)
        file = io.BytesIO()
        size = (self.side * 3 // 4, self.side)
        Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(file, "JPEG", quality=82)
        return file.getvalue()

    def shown(self, true: int, first: int | None = None) -> ProductAnswers:
        self.count += 1
        first = true if first is None else first
        order = [first, *(i for i in range(len(self.names)) if i != first)][:5]
        answers = tuple(Answer(self.names[i], 0.7 / (1 + 3 * place)) for place, i in enumerate(order))
        return ProductAnswers(str(10_000 + self.count), self.name, self.names[true], self.jpeg(), answers, self.jpeg())

    def data(self) -> DataFacts:
        counts = self.random.integers(40, 7000, len(self.names))
        reasons = [("broken picture", 31), ("missing picture", 7), ("bad id", 1)]
        return DataFacts(
            rows=44_446,
            examples={"train": 35_501, "eval": 4_433, "test": 4_441},
            classes=tuple(
                ClassCounts(name, {"train": int(n), "eval": int(n) // 8, "test": int(n) // 8 + 1}, min(int(n), 500))
                for name, n in zip(self.names, counts, strict=True)
            ),
            quarantined=tuple(
                QuarantineReason(reason, count, tuple(self._sample(i) for i in range(min(count, 6))))
                for reason, count in reasons
            ),
            unmapped=(Count("Watches", 2253), Count(HOSTILE, 12)),
            repaired=(Count("commas", 22),),
            columns=tuple(self._column(name) for name in ("gender", "articleType", "year")),
            histograms=(
                Histogram("width", "px", (53.0, 56.5, 60.0), (4, 26_530)),
                Histogram("brightness", "", (0.0, 85.0, 170.0, 255.0), (12, 345, 2_345), sampled=True),
            ),
            sizes=(Count("60 × 80", 26_527), Count("53 × 80", 4)),
            duplicates=Duplicates(467, 1_019, 3, 0, 0, tuple(self._group(i == 0) for i in range(4))),
            anomalies=(AnomalyFacts("season", ("train",), severe=False, finding=f"Odd values: {HOSTILE}"),),
            drift=DriftFacts("2026-11-14T03-00-00", 41_234, (Drift("baseColour", 0.0834, HOSTILE, 0.1111, 0.1945),
                                                             Drift("gender", 0.0021, "Men", 0.5521, 0.5542))),
            notes=("The class Bra 5 has few pictures.",),
        )  # fmt: skip

    def training(self) -> TrainingFacts:
        def epochs(count: int) -> tuple[Epoch, ...]:
            return tuple(
                Epoch(i, 1 / i, 1 - 0.5 / i, 1.1 / i, 1 - 0.55 / i, learning_rate=1e-3 / i, seconds=3.3)
                for i in range(1, count + 1)
            )

        blocks = (
            Block("stem", 998, ()),
            Block("block1", 1_544, ("finetune",)),
            Block("head", 7_686, ("head", "finetune")),
        )
        return TrainingFacts(
            phases=(
                Phase("head", epochs(20), 100, 17, kept=False, seconds=66.0, images_per_second=913.0),
                Phase("finetune", epochs(5), 8, 5, kept=True, seconds=301.0, images_per_second=87.0),
            ),
            network=Network(
                "efficientnet_b0", "imagenet", 160, 1280, blocks, reference=PROFILES["efficientnet_b0"].reference
            ),
            seconds=431.0,
            calibrated=True,
            names={"articleType": {"picture": 0.917, "name": 0.978, "both": 0.981}},
        )

    def quality(self) -> QualityFacts:
        k = len(self.names)
        confusion = self.random.poisson(0.15, (k, k)) + np.diag(self.random.integers(20, 200, k))
        support, predicted, right = confusion.sum(1), confusion.sum(0), np.diag(confusion)
        recall, precision = right / support, right / predicted
        f1 = 2 * recall * precision / (recall + precision)
        mistakes = [(i, j) for i in range(k) for j in range(k) if i != j and confusion[i, j]]
        mistakes.sort(key=lambda pair: -confusion[pair])
        accuracy = float(right.sum() / support.sum())
        return QualityFacts(
            examples=int(support.sum()),
            accuracy=accuracy,
            loss=0.3217,
            macro_precision=float(precision.mean()),
            macro_recall=float(recall.mean()),
            macro_f1=float(f1.mean()),
            macro_auprc=0.8765,
            top5_accuracy=0.9912,
            classes=tuple(
                ClassFigures(self.names[i], float(precision[i]), float(recall[i]), float(f1[i]), 0.9 + i / (20 * k),
                             int(support[i]), int(predicted[i]), float(recall[i]) - 0.011 * (i % 3))
                for i in range(k)
            ),
            confusion=tuple(tuple(map(int, row)) for row in confusion),
            pairs=tuple(
                ConfusedPair(self.names[i], self.names[j], int(confusion[i, j]),
                             tuple(self.shown(i, j) for _ in range(min(4, confusion[i, j]))))
                for i, j in mistakes[:12]
            ),
            curves=tuple(self._curve(name) for name in self.names),
            calibration=Calibration(tuple(_bin(i) for i in range(15)), 0.0571),
            coverage=tuple(Coverage(t / 20, 1 - t / 40, int(1000 - 25 * t), accuracy + (1 - accuracy) * t / 20,
                                    accuracy - 0.01, 1.0) for t in range(20)),
            slices=tuple(SliceQuality(column, value, 500 // (i + 1), 470 // (i + 1), 0.94, 0.91 - i / 50, 0.96)
                         for column in ("gender", "season", "baseColour")
                         for i, value in enumerate(("Men", HOSTILE, ""))),
        )  # fmt: skip

    def outside(self) -> OutsideFacts:
        def share(count: int, total: int) -> Proportion:
            return Proportion(count=count, total=total, share=count / total, low=0.0, high=1.0)

        outsiders = Outsiders(accepted=share(7, 500), auroc=0.9912, auroc_low=0.98, auroc_high=1.0)
        names = ("Belts", HOSTILE, "")
        assessment = Assessment(
            accepted=share(930, 1000), accuracy=share(927, 930), kept=share(951, 1000), shown=outsiders,
            unseen=outsiders,            coverage=share(949, 1000), set_size=1.07, asked=0.95,
            kinds=tuple(Kind(name=name, unseen=i == 1, tested=90, accepted=9 - i) for i, name in enumerate(names)),
            curve=tuple(Point(confidence=c / 20, accepted=1 - c / 40, accuracy=0.9 + c / 200, outsiders=0.1 - c / 200)
                        for c in range(20)),
            tags=(TagFigures(column="baseColour", classes=44, right=share(690, 990), macro_f1=0.41, frequent=0.22,
                             accepted=share(500, 990), accuracy=share(450, 500),
                             by_class=(Group(name="Teal", tested=9, right=2), Group(name=HOSTILE, tested=9, right=8)),
                             confusions=(Confusion(truth="Teal", answer=HOSTILE, count=7),),
                             slices={"gender": (Group(name="Unisex", tested=123, right=77),)}),),
        )  # fmt: skip
        return OutsideFacts(assessment, (self.shown(0),), (self.shown(1),))

    def gallery(self) -> PictureFacts:
        k, n = len(self.names), self.pictures
        similar = tuple(
            Similar(self.shown(i % k), tuple(Neighbour(self.shown(i % k), 0.987 - j / 50) for j in range(5)))
            for i in range(min(6, n))
        )
        return PictureFacts(
            sure=tuple(self.shown(i % k) for i in range(n)),
            edge=tuple(self.shown(i % k) for i in range(n)),
            worst=tuple(self.shown(i % k, (i + 1) % k) for i in range(n)),
            similar=similar,
        )

    def _sample(self, row: int) -> QuarantineSample:
        return QuarantineSample(7_000 + row, HOSTILE if row == 0 else str(row), f"row {row}: {HOSTILE}", self.jpeg())

    def _column(self, name: str) -> Column:
        values = [str(2008 + i) for i in range(8)] if name == "year" else [HOSTILE, *(f"value {i}" for i in range(24))]
        return Column(name, tuple(Count(value, 900 - 31 * i) for i, value in enumerate(values)), 77, 5, len(values) + 9)

    def _group(self, contradictory: bool) -> DuplicateGroup:
        products = tuple(
            Listing(str(i), self.name, self.names[i % 2 if contradictory else 0], "train") for i in range(3)
        )
        return DuplicateGroup(self.jpeg(), products, contradictory)

    def _curve(self, name: str) -> Curve:
        recall = np.linspace(0.005, 1, 200)
        precision = 1 - (0.1 + 0.5 * self.random.random()) * recall**6
        return Curve(
            name, tuple(recall.tolist()), tuple(precision.tolist()), tuple(np.linspace(0.999, 0.001, 200).tolist())
        )
