"""How many wrong labels does an audit find, beside cleanlab, a linear head's margin and the name alone?

    fashion run --recipe article_type --data archive.zip --to ingest
    python -m benchmarks.label_audit [--root runs] [--run latest] [--noise 0.03] [--looked 0.05] [--seeds 1 2]

A share of the labels of a finished ingest is moved: to the class whose pictures are nearest to its own on average, or
to any other. Then each way ranks all products, and what is moved among the first is counted. The labels had mistakes
of their own before, which are not counted as found: precision is better than it says.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.label_noise import said_in, words_of
from benchmarks.measure import percent, say, show
from components.audit.evidence import fit, joined, margins, nearest, votes
from components.audit.words import Words

_FIRST = 100
_FOLDS = 5

Labels = NDArray[np.int64]
Scores = NDArray[np.float32]


def nearest_classes(features: Scores, labels: Labels, classes: int) -> Labels:
    """The class whose mean is nearest to that of each class, int64 [k]."""
    means = np.stack([features[labels == label].mean(axis=0) for label in range(classes)])
    distances = ((means[:, np.newaxis] - means) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    return distances.argmin(axis=1)


def spoil(
    labels: Labels, share: float, seed: int, near: Labels | None, classes: int
) -> tuple[Labels, NDArray[np.bool_]]:
    """Moves a share of labels to the class nearest to each, or to any other where `near` is None; and says which."""
    random = np.random.default_rng(seed)
    moved = np.zeros(len(labels), np.bool_)
    moved[random.choice(len(labels), round(share * len(labels)), replace=False)] = True
    others = (labels + random.integers(1, classes, len(labels))) % classes if near is None else near[labels]
    return np.where(moved, others, labels), moved


def rankings(
    features: Scores, names: Sequence[str], neighbours: tuple[NDArray[np.intp], NDArray[np.float32]],
    labels: Labels, classes: Sequence[str],
) -> dict[str, Callable[[], Scores]]:  # fmt: skip
    """By its name, each way to score n products; the highest scores are to be looked at first."""
    count = len(classes)
    pictures = partial(votes, *neighbours, labels, count)

    def words() -> Scores:
        return Words(names, labels, count).scores

    def both() -> Scores:
        seen, said = pictures(), words()
        return joined(seen, said, fit(seen, said, labels))

    def margin(probabilities: Scores) -> Scores:
        return margins(probabilities, labels)[0]

    return {
        "fashion audit": lambda: margin(both()),
        "its pictures alone": lambda: margin(np.exp(pictures())),
        "its words alone": lambda: margin(joined(words(), words(), (1.0, 0.0))),
        "the class's own words in the name": lambda: contradicted(names, labels, classes),
        "linear head, five folds: margin": lambda: margin(head(features, labels, count)),
        "linear head, five folds: cleanlab": lambda: cleanlab(head(features, labels, count), labels),
        "fashion audit's probabilities: cleanlab": lambda: cleanlab(both(), labels),
    }


def contradicted(names: Sequence[str], labels: Labels, classes: Sequence[str]) -> Scores:
    """1 where a name says another class and not the label's, else 0: float32 [n]."""
    wanted = {each: words_of(each) for each in classes}
    said = [said_in(name, wanted) for name in names]
    return np.array(
        [bool(each) and classes[label] not in each for each, label in zip(said, labels, strict=True)], np.float32
    )


def head(features: Scores, labels: Labels, classes: int) -> Scores:
    """Probabilities of a linear head, out of folds: float32 [n, k]."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    folds, found = (
        np.random.default_rng(0).permutation(len(labels)) % _FOLDS,
        np.zeros((len(labels), classes), np.float32),
    )
    for fold in range(_FOLDS):
        linear = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1).fit(
            features[folds != fold], labels[folds != fold]
        )
        found[np.ix_(folds == fold, linear.classes_)] = linear.predict_proba(features[folds == fold])
    return found


def cleanlab(probabilities: Scores, labels: Labels) -> Scores:
    """The doubts of cleanlab (Northcutt et al. 2021, https://arxiv.org/abs/1911.00068), float32 [n]: its issues first.

    They are ranked as it does by default, by how little probable the label is; all others come behind them likewise.
    """
    from cleanlab.filter import find_label_issues  # type: ignore[import-untyped]
    from cleanlab.rank import get_label_quality_scores  # type: ignore[import-untyped]

    return find_label_issues(labels, probabilities, n_jobs=1) + 1 - get_label_quality_scores(labels, probabilities)


def found(scores: Scores, moved: NDArray[np.bool_], looked: float) -> tuple[float, float]:
    """The share of what was moved among those looked at, and the share of moved ones among the first hundred."""
    order = np.argsort(-scores, kind="stable")
    return float(moved[order[: round(looked * len(order))]].sum() / moved.sum()), float(moved[order[:_FIRST]].mean())


def rows_of(results: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]]) -> list[list[str]]:
    """The rows of the table: for each way, what it found of each kind of noise, as means over the seeds."""
    return [
        [way, *(percent(share) for each in kinds.values() for share in np.mean(each, axis=0).tolist())]
        for way, kinds in results.items()
    ]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path("runs"), help="as in fashion run")
    parser.add_argument("--run", default="latest", help="as in fashion report")
    parser.add_argument("--noise", type=float, default=0.03, help="share of labels that are moved")
    parser.add_argument("--looked", type=float, default=0.05, help="share of products that are looked at")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    from components.audit.collect import look
    from components.report.reading import Reading
    from pipeline.history import open_history
    from pipeline.paths import Paths
    from pipeline.reporting import sources_of

    paths = Paths(options.root, options.root.absolute())
    reading = Reading(sources_of(open_history(paths.metadata).find(options.run), paths.root), paths.root)
    products, features, _ = look(reading, paths.work / "looks.npz")
    classes, neighbours = reading.classes, nearest(features)
    places = features / np.linalg.norm(features, axis=1, keepdims=True)
    places = places - places.mean(axis=0)
    directions = np.linalg.eigh(places.T @ places)[1][:, -256:]
    places, near = places @ directions, nearest_classes(features, products.labels, len(classes))
    results: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for kind, target in (("nearest", near), ("random", None)):
        for seed in options.seeds:
            labels, moved = spoil(products.labels, options.noise, seed, target, len(classes))
            for way, score in rankings(places, products.names, neighbours, labels, classes).items():
                say(f"{kind}, seed {seed}: {way}")
                results.setdefault(way, {}).setdefault(kind, []).append(found(score(), moved, options.looked))
    show(
        f"{reading.sources.recipe}, {len(products.labels):,} products in {len(classes)} classes, "
        f"{percent(options.noise)} of the labels moved, {percent(options.looked)} of the products looked at",
        ("way", "nearest: found", f"of the first {_FIRST}", "random: found", f"of the first {_FIRST}"),
        rows_of(results),
    )


if __name__ == "__main__":
    main()
