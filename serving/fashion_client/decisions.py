"""What to do with an answer: accept it, have a person look at it, or take the picture for none of the classes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from fashion_client.answers import Prediction

ACCEPT, UNSURE, OUTSIDE = "accept", "unsure", "outside"


@dataclass(frozen=True)
class Thresholds:
    """Where decisions change. A model's own lie in its `assets.extra/decide.json`; given anew, all are replaced."""

    outside: float | None = None  # a picture whose `outside` is above this is of none of the classes; None for never
    clear: float | None = None  # one above this is not accepted; None for `outside`
    confidence: float = 0.0  # nor is one whose label is less sure; above 1 nothing is accepted

    def decide(self, outside: float | None, confidence: float) -> str:
        """Decides about one answer.

        Args:
            outside: how foreign the picture is; None where the model does not say, as those of earlier releases.
            confidence: of the label.

        Returns:
            `ACCEPT`, `UNSURE` or `OUTSIDE`.
        """
        if outside is not None and self.outside is not None and outside > self.outside:
            return OUTSIDE
        clear = self.outside if self.clear is None else self.clear
        foreign = outside is not None and clear is not None and outside > clear
        return UNSURE if foreign or confidence < self.confidence else ACCEPT


def with_thresholds(answers: Iterable[Prediction], thresholds: Thresholds | None) -> Iterator[Prediction]:
    """Decides about answers anew; with None, yields them as they are."""
    for answer in answers:
        if thresholds is not None and answer.error is None:
            answer = replace(answer, decision=thresholds.decide(answer.outside, answer.confidence))
        yield answer
