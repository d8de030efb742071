"""What production says, day by day: each day against the training, and against the week before it."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from pipeline.monitor.accuracy import Share, expected, known
from pipeline.monitor.causes import NEW, VOLUME, Alarm, alarms
from pipeline.monitor.moves import ERRORS, Limits, Move, latency_move, moves
from pipeline.monitor.tally import LATENCY, MEASURES, Tally, mean, total

TRAINING, LAST_WEEK = "training", "the week before"

_WEEK = 7
_TIMES = 3  # as many answers, or as few, as on a usual day


@dataclass(frozen=True)
class Day:
    """One day, ISO and UTC, judged.

    The accuracy is expected; None without a baseline whose truth is known. Alarms are by what the day, or the week that
    ends with it, was compared with. Slices are by name, with the accuracy that is expected of each.
    """

    day: str
    tally: Tally
    accuracy: Share | None
    alarms: tuple[tuple[str, Alarm], ...]
    slices: Mapping[str, tuple[Tally, Share | None]]

    @property
    def kinds(self) -> set[tuple[str, str]]:
        """Of its alarms, with the slice."""
        return {(alarm.part, alarm.kind) for _, alarm in self.alarms}


@dataclass(frozen=True)
class Standing:
    """An alarm of the latest day, and since when it has been there."""

    alarm: Alarm
    against: str
    since: str
    rows: int  # answers of the days since then

    def __str__(self) -> str:
        told = "; ".join(map(str, self.alarm.moves[:3]))
        return f"{self.alarm.title}, since {self.since} ({self.rows:,} answers), against {self.against}: {told}"


@dataclass(frozen=True)
class Verdict:
    """Production as a whole; `accuracy` is that of the baseline."""

    days: tuple[Day, ...]
    accuracy: Share | None
    standing: tuple[Standing, ...]

    @property
    def drift(self) -> bool:
        """Whether answers or pictures have moved, which another training may mend; failing requests it does not."""
        return any(each.alarm.kind not in (VOLUME, ERRORS, LATENCY) for each in self.standing)

    def as_json(self) -> dict[str, Any]:
        """What programs read."""
        return {
            "drift": self.drift,
            "alarms": [dataclasses.asdict(each) | {"text": str(each)} for each in self.standing],
            "accuracy": self.accuracy and dataclasses.asdict(self.accuracy),
            "accuracy_holds": all(each.alarm.kind != NEW for each in self.standing),
            "days": [
                {
                    "day": each.day, "answers": round(each.tally.volume), "logged": each.tally.rows,
                    "errors": each.tally.errors, "labels": dict(each.tally.labels.most_common()),
                    "decisions": dict(each.tally.decisions),
                    "means": {
                        name: mean(each.tally.hist(name), name) for name in MEASURES if each.tally.hist(name).any()
                    },
                    "expected_accuracy": each.accuracy and dataclasses.asdict(each.accuracy),
                    "alarms": [alarm.title for _, alarm in each.alarms],
                    "slices": {
                        name: {"logged": part.rows, "expected_accuracy": share and dataclasses.asdict(share)}
                        for name, (part, share) in each.slices.items()
                    },
                }
                for each in self.days
            ],
        }  # fmt: skip


def judge(days: Mapping[str, Tally], baseline: Tally | None, limits: Limits) -> Verdict:
    """Judges each day of a log, in order, by ISO date; without a baseline it compares weeks alone."""
    judged = []
    for day, tally in days.items():
        week = [days[name] for name in _before(day, days)]
        accuracy = expected(tally, baseline) if baseline else None
        slices = {name: (part, expected(part, baseline) if baseline else None) for name, part in tally.slices.items()}
        found = tuple(_alarms(tally, week, baseline, limits, last=day == max(days)))
        judged.append(Day(day, tally, accuracy, found, slices))
    standing = tuple(_standing(judged))
    return Verdict(tuple(judged), known(baseline) if baseline else None, standing)


def _alarms(
    day: Tally, week: list[Tally], baseline: Tally | None, limits: Limits, last: bool
) -> Iterator[tuple[str, Alarm]]:
    """What moved among all answers, and what did in slices alone."""
    limits = dataclasses.replace(limits, parts=1 + len(day.slices))
    further = [*filter(None, [latency_move(total(week), day, limits), _volume(week, day, last)])]
    whole = [*_compared(day, week, baseline, limits, further)]
    yield from whole
    seen = {alarm.kind for _, alarm in whole}
    for name, part in sorted(day.slices.items()):
        before = [each.slices[name] for each in week if name in each.slices]
        for against, alarm in _compared(part, before, baseline and baseline.slices.get(name), limits, []):
            if alarm.kind not in seen:
                yield against, dataclasses.replace(alarm, part=name)


def _compared(
    day: Tally, week: list[Tally], baseline: Tally | None, limits: Limits, further: list[Move]
) -> Iterator[tuple[str, Alarm]]:
    seen: set[str] = set()
    # The day tells of what comes at once, the week with it of what creeps in.
    compared = [(TRAINING, baseline, day), (TRAINING, baseline, total([*week[1 - _WEEK :], day]) if week else None)]
    compared.append((LAST_WEEK, total(week) if week else None, day))
    for against, before, now in compared:
        if before is None or now is None:
            continue
        for alarm in alarms([*moves(before, now, limits), *(further if against == LAST_WEEK else [])]):
            if alarm.kind not in seen:
                seen.add(alarm.kind)
                yield against, alarm


def _volume(week: list[Tally], day: Tally, last: bool) -> Move | None:
    """How many answers there were; the last day may not be over."""
    usual = sum(each.volume for each in week) / max(len(week), 1)
    if len(week) < 3 or not day.volume or (last and day.volume < usual):
        return None
    times = max(day.volume / usual, usual / day.volume)
    return Move(VOLUME, times - 1, _TIMES - 1, 0.0, usual, day.volume)


def _before(day: str, days: Mapping[str, Tally]) -> list[str]:
    first = date.fromisoformat(day) - timedelta(days=_WEEK)
    return [name for name in days if first <= date.fromisoformat(name) < date.fromisoformat(day)]


def _standing(days: list[Day]) -> Iterator[Standing]:
    """The alarms of the latest day, with the days on end that had them."""
    for against, alarm in days[-1].alarms if days else ():
        since = len(days) - 1
        while since and (alarm.part, alarm.kind) in days[since - 1].kinds:
            since -= 1
        yield Standing(alarm, against, days[since].day, sum(each.tally.rows for each in days[since:]))
