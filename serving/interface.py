"""What a published model is asked, and what it answers: the promise to clients, which `contract.py` holds models to."""

from typing import NamedTuple


class Output(NamedTuple):
    """An output of a signature. `shape` counts n pictures, k classes, d dimensions, and h × w places of a map."""

    kind: str
    shape: tuple[str, ...]
    meaning: str


ANSWER = {
    "label": Output("string", ("n",), "the most probable class"),
    "confidence": Output("float32", ("n",), "its probability"),
    "probabilities": Output("float32", ("n", "k"), "of each class, in the order of `assets.extra/labels.txt`"),
    "top_labels": Output("string", ("n", "min(5, k)"), "the most probable classes, the first of them first"),
    "top_scores": Output("float32", ("n", "min(5, k)"), "their probabilities"),
    "error": Output("string", ("n",), "why there is no answer to this picture; empty where there is one"),
}
# Of models that decide, which those of earlier releases do not: all of them or none.
DECISION = {
    "outside": Output("float32", ("n",), "the higher, the less the picture looks like any class"),
    "decision": Output("string", ("n",), "`accept`, `unsure` or `outside`"),
    "label_set": Output("string", ("n",), "the classes that cannot be ruled out, each in a line, the first first"),
}
# Of each further column that a model answers, behind the column's name.
TAG = {
    "_label": Output("string", ("n",), "the column's value"),
    "_confidence": Output("float32", ("n",), "its probability"),
}
EMBEDDING = {
    "embedding": Output("float32", ("n", "d"), "the picture as a vector of length 1"),
    "error": ANSWER["error"],
}
EXPLAIN, OBSERVE = FURTHER = "explain", "observe"  # which models of earlier releases do not have
_HEAT = Output("float32", ("n", "h", "w"), "what each place adds to the logit of `label`")
_PROJECTION = Output("float32", ("n", "64"), "the embedding, projected at random; asked where answers are logged")
# Name to its one input, string [n], and its outputs.
SIGNATURES = {
    "serving_default": ("image_bytes", ANSWER),
    "examples": ("examples", ANSWER),
    "embed": ("image_bytes", EMBEDDING),
    EXPLAIN: ("image_bytes", ANSWER | {"heat": _HEAT}),
    OBSERVE: ("image_bytes", ANSWER | {"projection": _PROJECTION}),
}
