"""Whether a copy of a model, in whatever runtime, answers the golden pictures as the model does."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


def find_faults(golden: Mapping[str, Any], answers: Mapping[str, Any]) -> list[str]:
    """Compares answers with those of the model that was published.

    Args:
        golden: content of a bundle's `golden.json`.
        answers: file name of each golden picture to its answer, in the form that `golden["pictures"]` has: `label`,
            `probabilities` by class and `embedding`.

    Returns:
        A sentence for each picture that is answered otherwise; none where all are right.
    """
    faults = []
    for name, wanted in golden["pictures"].items():
        try:
            fault = _fault(golden, wanted, answers[name])
        except KeyError as missing:
            fault = f"there is no {missing}"
        except (TypeError, ValueError, AttributeError) as error:
            fault = f"the answer is not of the form of golden.json ({error})"
        if fault:
            faults.append(f"{name}: {fault}")
    return faults


def _fault(golden: Mapping[str, Any], wanted: Mapping[str, Any], answer: Mapping[str, Any]) -> str:
    if len(answer["embedding"]) != len(wanted["embedding"]):
        return f"the embedding has {len(answer['embedding'])} numbers, the model's has {len(wanted['embedding'])}"
    likeness = _cosine(answer["embedding"], wanted["embedding"])
    if not likeness >= golden["cosine"]:
        return (
            f"the embedding's cosine to the model's is {likeness:.4f}, below {golden['cosine']:g}: the pixels are "
            "others; look at colour order, size, antialias and turning"
        )
    theirs: Mapping[str, float] = wanted["probabilities"]
    distances = {label: abs(answer["probabilities"][label] - own) for label, own in theirs.items()}
    label = max(distances, key=lambda label: distances[label])
    if not distances[label] <= golden["probability"]:
        return (
            f"'{label}' has {answer['probabilities'][label]:.4f}, the model gives it {theirs[label]:.4f}: is the order "
            "of the labels another?"
        )
    near = [name for name, own in theirs.items() if own >= theirs[wanted["label"]] - 2 * golden["probability"]]
    return "" if answer["label"] in near else f"the label is '{answer['label']}', the model says '{wanted['label']}'"


def _cosine(left: Sequence[float], right: Sequence[float]) -> float:
    norm = math.sqrt(sum(a * a for a in left)) * math.sqrt(sum(b * b for b in right))
    return sum(a * b for a, b in zip(left, right, strict=True)) / norm if norm else math.nan
