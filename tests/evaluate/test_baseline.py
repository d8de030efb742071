"""A new model is compared with the latest one that was fit to be published."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from tfx.types import Artifact
from tfx.types.standard_artifacts import InfraBlessing, Model, ModelBlessing

from components.evaluate.baseline import BLESSED, MODEL_ID, LatestOtherBlessedModel

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


@pytest.mark.parametrize(("evaluated", "tried", "gone", "baseline"), HISTORIES.values(), ids=HISTORIES)
def test_baseline_is_the_latest_other_model_that_was_fit_to_be_published(
    tmp_path: Path,
    evaluated: Sequence[tuple[int, int]],
    tried: Sequence[tuple[int, int]],
    gone: Sequence[int],
    baseline: Sequence[int],
) -> None:
    models = []
    for number in (1, 2, CANDIDATE):
        model = Model()
        model.id, model.uri = number, str(tmp_path / str(number))
        if number not in gone:
            Path(model.uri).mkdir()
        models.append(model)
    found = LatestOtherBlessedModel().resolve_artifacts(
        store=None,  # type: ignore[arg-type]
        input_dict={
            "model": models,
            "model_blessing": blessings(ModelBlessing, evaluated),
            "infra_blessing": blessings(InfraBlessing, tried),
            "candidate": [models[-1]],
        },
    )
    assert found is not None
    assert [model.id for model in found["model"]] == baseline
    for key in ("model_blessing", "infra_blessing"):
        assert [blessing.get_int_custom_property(MODEL_ID) for blessing in found[key]] == baseline
    assert found["candidate"] == [models[-1]]
