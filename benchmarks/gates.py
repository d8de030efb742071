"""How often is a model refused that is as good as the baseline, and how often is one caught that is worse?

    python -m benchmarks.gates

Two models are drawn that differ on some pictures of 40 classes by chance alone. They are compared by the rule of the
gate, `components.evaluate.evidence`, and by the loss of recall alone, which is the rule most pipelines use. Then a
class of 200 pictures gets 5 points worse: the candidate misses another ten of them, or each with a probability of 5 %.
The sizes of the classes are those of a real catalogue's sub-categories, or 200 each.

In the last column, two things are drawn: how much the class is worse on its 200 pictures, and by what else the models
differ. Chance makes it at most 3 points, the tolerance, in one of eight; no rule with a tolerance catches those.
"""

import numpy as np

from benchmarks.measure import parser_of, percent, show
from components.evaluate.evidence import proven_loss, proven_losses
from components.evaluate.settings import Gate

# Test pictures by class of sub_category, from the most frequent down to those of a handful.
CATALOGUE = (1540, 730, 305, 268, 254, 180, 108, 107, 100, 96, 92, 90, 81, 69, 52, 48, 46, 42, 33, 30,
             29, 26, 20, 18, 15, 14, 12, 12, 10, 10, 9, 9, 8, 8, 7, 6, 6, 5, 5, 5)  # fmt: skip
EVEN = (200,) * 40
WORSE, PICTURES = 0.05, 200

_AGREEMENTS = (0.94, 0.97, 0.98, 0.99, 0.995)
_GATE = Gate()


def refusals(lost: np.ndarray, gained: np.ndarray, sizes: np.ndarray, gate: Gate) -> np.ndarray:
    """Finds what each candidate of [n, k] is refused for: bool [n, k + 1], each class and last its accuracy."""
    overall = proven_loss(lost.sum(-1), gained.sum(-1), int(sizes.sum()), gate)
    return np.column_stack([proven_losses(lost, gained, sizes, gate), overall]) > 0


def losses_alone(lost: np.ndarray, gained: np.ndarray, sizes: np.ndarray, gate: Gate) -> np.ndarray:
    """Finds the same where a loss above the tolerance is enough."""
    overall = (lost.sum(-1) - gained.sum(-1)) / sizes.sum() > gate.regression
    return np.column_stack([(lost - gained) / sizes > gate.class_regression, overall])


def nights(
    sizes: tuple[int, ...], agreement: float, count: int, seed: int, *, worse: str = ""
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws comparisons of two models.

    Args:
        sizes: test pictures of each class; the first becomes one of 200 where a class is to be worse.
        agreement: share of pictures of which both models are right, or both wrong.
        count: how many comparisons n.
        seed: of the draws.
        worse: "" for equal models; "pictures" or "truth": the first class is worse on ten of its pictures, or on
            each with a probability of 5 %.

    Returns:
        Pictures of each class that the baseline alone has right, int64 [n, k]; those that the candidate alone has
        right, likewise; all, [k].
    """
    random, share = np.random.default_rng(seed), (1 - agreement) / 2
    pictures = np.array((PICTURES, *sizes[1:]) if worse else sizes)
    lost, gained = (random.binomial(pictures, share, (count, len(pictures))) for _ in range(2))
    if worse:
        lost[:, 0] += random.binomial(PICTURES, WORSE, count) if worse == "truth" else round(WORSE * PICTURES)
    return lost, gained, pictures


def main() -> None:
    """Draws, compares and prints."""
    options = parser_of(__doc__, 1).parse_args()
    count = 200 if options.quick else 10_000
    rows = []
    for name, sizes in (("as sub_category", CATALOGUE), ("200 each", EVEN)):
        for agreement in _AGREEMENTS:
            row = [name, f"{100 * agreement:g} %"]
            for rule in (losses_alone, refusals):
                equal = rule(*nights(sizes, agreement, count, 1), _GATE).any(axis=1)
                row.append(percent(float(equal.mean())))
                for worse in ("pictures", "truth"):
                    caught = rule(*nights(sizes, agreement, count, 2, worse=worse), _GATE)[:, 0]
                    row.append(percent(float(caught.mean())))
            rows.append(row)
    columns = ["classes", "agree"]
    for name in ("loss alone", "gate"):
        columns += [f"{name}: equal", f"10 of {PICTURES}", f"{100 * WORSE:g} %"]
    show(
        f"Refused of {count:,} candidates, 40 classes, tolerance {100 * _GATE.class_regression:g} points", columns, rows
    )


if __name__ == "__main__":
    main()
