"""A new model is compared with the latest one that was fit to be published."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import ml_metadata as mlmd
import pytest
from ml_metadata.proto import metadata_store_pb2 as proto
from tfx.types import Artifact
from tfx.types.standard_artifacts import InfraBlessing, Model, ModelBlessing

from components.artifacts import Quarantine
from components.evaluate.baseline import BLESSED, MODEL_ID, LatestOtherBlessedModel
from components.ingest.members import Members
from components.ingest.settings import Split
from tests.ingest.membership import members

CANDIDATE = 9


def blessings(kind: type[Artifact], verdicts: Sequence[tuple[int, int]]) -> list[Artifact]:
    """One for each id of a model and whether it is blessed."""
    found = []
    for number, (model, blessed) in enumerate(verdicts):
        blessing = kind()
        blessing.id = 100 + number
        blessing.set_int_custom_property(MODEL_ID, model)
        blessing.set_int_custom_property(BLESSED, blessed)
        found.append(blessing)
    return found


# Which models were evaluated and tried in a server, with what result; whose files are gone; and who is the baseline.
HISTORIES = {
    "none before": ([(CANDIDATE, 1)], [(CANDIDATE, 1)], [], []),
    "the latest": ([(1, 1), (2, 1)], [(1, 1), (2, 1)], [], [2]),
    "the latest was refused by its evaluation": ([(1, 1), (2, 0)], [(1, 1), (2, 0)], [], [1]),
    "the latest could not be served": ([(1, 1), (2, 1)], [(1, 1), (2, 0)], [], [1]),
    "the latest was never tried in a server": ([(1, 1), (2, 1)], [(1, 1)], [], [1]),
    "no model could be served": ([(1, 1)], [(1, 0)], [], []),
    "refused by one server, and served by a later one": ([(1, 1), (2, 1)], [(1, 1), (2, 0), (2, 1)], [], [2]),
    "the files of the latest are gone": ([(1, 1), (2, 1)], [(1, 1), (2, 1)], [2], [1]),
    "the candidate was approved by an earlier run": ([(1, 1), (CANDIDATE, 1)], [(1, 1), (CANDIDATE, 1)], [], [1]),
}


class Lineage:
    """A metadata store in which each model was made of examples, by way of Transform, and ingest made those."""

    def __init__(self, folder: Path) -> None:
        config = proto.ConnectionConfig()
        config.fake_database.SetInParent()
        self.store, self.folder = mlmd.MetadataStore(config), folder
        self.quarantines: list[Artifact] = []
        self._kind = self.store.put_execution_type(proto.ExecutionType(name="stage"))

    def _artifact(self, name: str, content: Members | None = None) -> Artifact:
        artifact = Quarantine() if content else Model()
        kind = self.store.put_artifact_type(proto.ArtifactType(name=name))
        [artifact.id] = self.store.put_artifacts([proto.Artifact(type_id=kind)])
        artifact.uri = str(self.folder / f"{name}-{artifact.id}")
        Path(artifact.uri).mkdir()
        if content:
            Path(artifact.uri, "members.parquet").write_bytes(content.as_parquet())
        return artifact

    def _run(self, given: Sequence[Artifact], made: Sequence[Artifact]) -> None:
        [stage] = self.store.put_executions([proto.Execution(type_id=self._kind)])
        events = [(each, proto.Event.INPUT) for each in given] + [(each, proto.Event.OUTPUT) for each in made]
        self.store.put_events([proto.Event(artifact_id=a.id, execution_id=stage, type=kind) for a, kind in events])

    def ingest(self, content: Members) -> tuple[Artifact, Artifact]:
        """Its examples and its quarantine."""
        examples, quarantine = self._artifact("Examples"), self._artifact("Quarantine", content)
        self._run([], [examples, quarantine])
        self.quarantines.append(quarantine)
        return examples, quarantine

    def train(self, examples: Artifact) -> Artifact:
        """A model."""
        transformed, model = self._artifact("Examples"), self._artifact("Model")
        self._run([examples], [transformed])
        self._run([transformed], [model])
        return model


def resolve(
    lineage: Lineage, models: Sequence[Artifact], evaluated: Sequence[tuple[int, int]],
    tried: Sequence[tuple[int, int]], tested: Artifact,
) -> Mapping[str, Sequence[Artifact]]:  # fmt: skip
    """The last of the models is the candidate."""
    found = LatestOtherBlessedModel(most=0.01).resolve_artifacts(
        lineage.store,
        {
            "model": list(models),
            "model_blessing": blessings(ModelBlessing, evaluated),
            "infra_blessing": blessings(InfraBlessing, tried),
            "candidate": [models[-1]],
            "quarantine": lineage.quarantines,
            "members": [tested],
        },
    )
    assert found is not None
    assert found["candidate"] == [models[-1]]
    return found


@pytest.mark.parametrize(("evaluated", "tried", "gone", "baseline"), HISTORIES.values(), ids=HISTORIES)
def test_baseline_is_the_latest_other_model_that_was_fit_to_be_published(
    tmp_path: Path,
    evaluated: Sequence[tuple[int, int]],
    tried: Sequence[tuple[int, int]],
    gone: Sequence[int],
    baseline: Sequence[int],
) -> None:
    lineage = Lineage(tmp_path)
    examples, tested = lineage.ingest(members())
    models = {number: lineage.train(examples) for number in (1, 2, CANDIDATE)}
    for number in gone:
        Path(models[number].uri).rmdir()
    told = [[(models[number].id, blessed) for number, blessed in verdicts] for verdicts in (evaluated, tried)]
    found = resolve(lineage, [*models.values()], *told, tested)
    assert found["model"] == [models[number] for number in baseline]
    for key in ("model_blessing", "infra_blessing"):
        assert [blessing.get_int_custom_property(MODEL_ID) for blessing in found[key]] == [
            models[number].id for number in baseline
        ]


# What the latest model was trained on, beside the splits that are tested on now, and whether it is the baseline.
SPLITS = {
    "the same products": (members(), True),
    "the same products, their pictures saved anew": (members(noise=1), True),
    "the same products, more of them trained on": (members(Split(train=85, eval=5, test=10)), True),
    "the same products, divided otherwise": (members(Split(by="year")), False),
    "the same pictures under other ids": (members(prefix="other ", noise=1), False),
    "other products": (members(prefix="other ", pictures=1), True),
}


@pytest.mark.parametrize(("theirs", "fair"), SPLITS.values(), ids=SPLITS)
def test_baseline_that_has_seen_the_test_is_passed_over(
    tmp_path: Path, theirs: Members, fair: bool, caplog: pytest.LogCaptureFixture
) -> None:
    lineage = Lineage(tmp_path)
    earlier, latest = lineage.ingest(members()), lineage.ingest(theirs)
    examples, tested = lineage.ingest(members())
    models = [lineage.train(each) for each in (earlier[0], latest[0], examples)]
    blessed = [(model.id, 1) for model in models]
    with caplog.at_level(logging.WARNING):
        found = resolve(lineage, models, blessed, blessed, tested)
    assert found["model"] == [models[1 if fair else 0]]
    assert ("products that are tested on now" in caplog.text) is not fair


def test_baseline_of_which_nothing_tells_what_it_was_trained_on_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lineage = Lineage(tmp_path)
    examples, unknown = lineage.ingest(members())
    Path(unknown.uri, "members.parquet").unlink()
    after, tested = lineage.ingest(members())
    models = [lineage.train(examples), lineage.train(after)]
    blessed = [(model.id, 1) for model in models]
    assert resolve(lineage, models, blessed, blessed, tested)["model"] == []
    assert "nothing tells which products it was trained on" in caplog.text
