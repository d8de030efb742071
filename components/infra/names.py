"""Holds the names that a server answers against what the products are, and against what the gate judged.

The gate judges the signature `evaluate`, by the index of a class; clients ask other signatures, and get names. A model
whose names and indices disagree would pass the one and mislead the others.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest  # type: ignore[import-untyped]

JUDGED = "evaluate"  # the signature; clients have no use for it
WHOLE = "examples, with names"  # what a model that reads names makes of these was not judged

_OF_EACH_CLASS = 2
_MOST = 256  # more than `count`; with many classes one picture names five of them, and these nearly all
_DOUBT = 0.001  # how often a model exactly as good as the gate asks is refused by chance
_TIE = 0.01  # on accelerators, probabilities differ by so much with the size of the batch


@dataclass(frozen=True)
class Answer:
    """What a server said to a request by a signature, and how long it took.

    `rows` are the pictures that it was asked about, by their positions among all; `outputs` name to one row for each of
    them, texts as str.
    """

    signature: str
    rows: range
    outputs: Mapping[str, np.ndarray]
    seconds: float


def choose(products: Sequence[tuple[str, str]], count: int) -> list[int]:
    """Chooses products to ask about: `count` at random, then of each class until there are two.

    Args:
        products: id and class name of each; the choice does not depend on their order.
        count: how many stand for all; the classes among them are as frequent as among all.

    Returns:
        Positions in `products`, those at random first.
    """
    keys = [hashlib.blake2b(product.encode("utf-8", "surrogateescape")).digest() for product, _ in products]
    order = sorted(range(len(products)), key=keys.__getitem__)
    chosen, rest = order[:count], order[count:]
    having = Counter(products[at][1] for at in chosen)
    for at in rest:
        if having[products[at][1]] < _OF_EACH_CLASS and len(chosen) < count + _MOST:
            having[products[at][1]] += 1
            chosen.append(at)
    return chosen


def find_mistake(answers: Sequence[Answer], classes: Sequence[str], truth: Sequence[str], accuracy: float) -> str:
    """Holds the names in answers against what the gate judged, and against the classes of the products.

    A picture that the gate could not judge either counts as a wrong answer.

    Args:
        answers: by every signature.
        classes: in the order of the probabilities.
        truth: class names of the first pictures, a random sample of all.
        accuracy: that the gate asks for.

    Returns:
        The first mistake, with its signature; "" for none.
    """
    judged = np.concatenate([answer.outputs["probabilities"] for answer in answers if answer.signature == JUDGED])
    if not judged.any():
        return f"{JUDGED} answers about none of {len(judged)} pictures"
    labels: dict[str, dict[int, str]] = {}
    for answer in answers:
        if clause := _contradiction(answer, judged, classes):
            return f"{answer.signature} {clause}"
        if "label" in answer.outputs and answer.signature != WHOLE:
            labels.setdefault(answer.signature, {}).update(zip(answer.rows, answer.outputs["label"], strict=True))
    for signature, names in labels.items():
        if clause := _shortfall([names[row] for row in range(len(truth))], truth, accuracy):
            return f"{signature} {clause}"
    return ""


def _contradiction(answer: Answer, probabilities: np.ndarray, classes: Sequence[str]) -> str:
    """Where an answer has another probability or error than `evaluate`; "" where it nowhere has."""
    outputs = answer.outputs
    for place, row in enumerate(answer.rows):
        judged = dict(zip(classes, probabilities[row], strict=True))
        if error := outputs["error"][place] if "error" in outputs else "":
            if any(judged.values()):
                return f"refuses a picture that {JUDGED}, which the gate judged, answers: {error}"
        elif "label" in outputs:
            best = outputs["label"][place], max(judged.values())
            for name, score in (best, *zip(outputs["top_labels"][place], outputs["top_scores"][place], strict=True)):
                if name not in judged:
                    return f"names '{name}', which is none of the classes"
                if answer.signature != WHOLE and not abs(judged[name] - score) <= _TIE:
                    gives = f"gives that class {judged[name]:.3f}"
                    return f"names {name} at {score:.3f} for a picture where {JUDGED}, which the gate judged, {gives}"
    return ""


def count_refused(answers: Sequence[Answer]) -> int:
    """How many pictures have an error in some answer."""
    answered = ((answer.rows, answer.outputs.get("error", ())) for answer in answers)
    return len({row for rows, errors in answered for row, error in zip(rows, errors, strict=False) if error})


def _shortfall(labels: Sequence[str], truth: Sequence[str], least: float) -> str:
    """How often an answer is right, where that is too rarely for a model that reaches `least`; "" where it may be."""
    right = sum(label == name for label, name in zip(labels, truth, strict=True))
    test = binomtest(right, len(labels), least, alternative="less")
    if test.pvalue >= _DOUBT:
        return ""
    low, high = binomtest(right, len(labels)).proportion_ci(method="wilson")
    return (
        f"names the right class of {right} of {len(labels)} pictures of the test split ({right / len(labels):.1%}, "
        f"95 % interval {low:.1%} to {high:.1%}), and the gate asks for {least:.1%}"
    )
