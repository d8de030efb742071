"""What moves mean: a name for what happened, from which measures moved and which stayed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.monitor.moves import DECISIONS, ERRORS, LABELS, PICTURES, TAILS, Move
from pipeline.monitor.tally import CONFIDENCE, LATENCY, OUTSIDE

VOLUME, NEW = "volume", "new"

_MOST = 0.3  # a distance that says that most pictures moved: a part of them moves it by no more than its share
_DOUBTS = (OUTSIDE, *TAILS.values(), CONFIDENCE, DECISIONS)


@dataclass(frozen=True)
class Alarm:
    """Something that moved too far."""

    kind: str  # errors, latency_ms, volume, camera, new, labels, confidence or pictures
    name: str  # what happened, in few words
    moves: tuple[Move, ...]  # what it rests on, the farthest first
    part: str = ""  # the slice of the answers that it is about; "" for all

    @property
    def title(self) -> str:
        """Its name, with the slice before it."""
        return f"{self.part}: {self.name}" if self.part else self.name


def alarms(moves: Iterable[Move]) -> list[Alarm]:
    """Names what moved too far; every far move stands in one alarm."""
    far = {move.what: move for move in sorted(moves, key=lambda move: move.limit - move.distance) if move.far}
    found = []

    def name(kind: str, text: str, whats: Iterable[str]) -> None:
        chosen = tuple(far.pop(what) for what in (*whats,) if what in far)
        if chosen:
            found.append(Alarm(kind, text, chosen))

    name(ERRORS, "requests fail", [ERRORS])
    name(LATENCY, "answers take longer", [LATENCY])
    name(VOLUME, "another number of requests", [VOLUME])
    looks = [move for what, move in far.items() if what not in (LABELS, PICTURES, *_DOUBTS)]
    surer = CONFIDENCE in far and far[CONFIDENCE].now > far[CONFIDENCE].before
    doubts = [what for what in _DOUBTS if what in far]
    if doubts == [DECISIONS] and LABELS in far:
        # Of another mix other shares are accepted; all else is compared given the label.
        name(LABELS, "another mix of labels", [LABELS, *doubts])
        doubts = []
    if looks and (looks[0].distance >= _MOST or not doubts or surer):
        name("camera", _camera(looks), [*(move.what for move in looks), *doubts, PICTURES])
    elif doubts and not surer:
        # What is new gets some label too, and looks like itself.
        name(NEW, "something new among the pictures", [*doubts, PICTURES, *(move.what for move in looks), LABELS])
    name(LABELS, "another mix of labels", [LABELS])
    name(CONFIDENCE, "other confidences, of pictures that look the same", doubts)
    name(PICTURES, "pictures differ, in nothing that is measured alone", [PICTURES])
    return found


def _camera(looks: Sequence[Move]) -> str:
    """What happened to the pictures, by the measures that moved nearly as far as the farthest."""
    far = {move.what: move for move in looks if move.distance >= looks[0].distance / 2}
    warmth = far.get("warmth")
    if warmth and warmth.mirrored < warmth.distance / 2 and "brightness" not in far:
        return "red and blue are exchanged"
    words = [
        more if far[what].now > far[what].before else less
        for what, more, less in (
            ("brightness", "brighter", "darker"), ("sharpness", "sharper", "blurred"), ("warmth", "warmer", "colder"),
            ("contrast", "of more contrast", "of less contrast"), ("tint", "greener", "redder"),
        )
        if what in far
    ]  # fmt: skip
    # Less light leaves less contrast, and warmth has its tint.
    return f"another camera or light: pictures are {' and '.join(words[:2] if 'blurred' in words else words[:1])}"
