"""Whether a model that training starts from has seen what will be tested on."""

import dataclasses

from components.ingest.members import Members, tested_and_trained_on
from components.validate.gate import Verdict


def with_start(verdict: Verdict, members: Members, theirs: Members, folder: str, most: float) -> Verdict:
    """Adds to a verdict on the data what is to be said of the published model that `model.weights` names.

    Args:
        verdict: on the data alone.
        members: of this run's splits.
        theirs: of the splits that the other model was trained and tested on.
        folder: of its version.
        most: share of the test split that it may have been trained on.
    """
    overlap, tested = tested_and_trained_on(members, theirs)
    fact = (
        f"model.weights: {folder} was trained on {overlap:,} of the {tested:,} products that this run tests on, "
        "or on pictures like theirs"
    )
    if overlap > most * tested:
        remedy = (
            f"{fact}, more than the {100 * most:.3g} % that validation.seen allows: figures on test would be too high. "
            "Give both the same split, start from other weights, or raise the limit."
        )
        return dataclasses.replace(verdict, problems=(*verdict.problems, remedy))
    return dataclasses.replace(verdict, notes=(*verdict.notes, f"{fact}.")) if overlap else verdict
