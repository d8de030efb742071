"""Thresholds of decisions for a copy that calculates in whole numbers: its scores are others than the model's."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from fashion_client.reading import Arrays
from numpy.typing import NDArray

from components.outside.thresholds import Decisions, fit_decisions

Answers = Iterator[tuple[Arrays, NDArray[np.int64]]]


def refit(decide: Mapping[str, Any], inside: Answers, outside: Answers) -> dict[str, Any]:
    """Fits a model's thresholds anew to what a copy answers, by what its recipe asked for.

    Those of further columns stay the model's.

    Args:
        decide: content of the model's `decide.json`.
        inside: batches of the copy's answers to the eval split, with labels.
        outside: likewise to the pictures of no class; empty where there are none.

    Returns:
        The content of a `decide.json` of the copy.
    """
    before = Decisions.model_validate_json(json.dumps(decide))
    answers, labels = zip(*inside, strict=True)
    probabilities, scores = (
        np.concatenate([batch[name] for batch in answers]) for name in ("probabilities", "outside")
    )
    foreign = [(batch["outside"][:, 0], batch["probabilities"].max(axis=1)) for batch, _ in outside]
    scored, sure = (np.concatenate(column) for column in zip(*foreign, strict=True)) if foreign else (None, None)
    pair = None if scored is None or sure is None else (scored, sure)
    fitted = fit_decisions(probabilities, np.concatenate(labels), scores[:, 0], pair, before.asked)
    return fitted.model_copy(update={"tags": before.tags}).model_dump(mode="json")
