"""What is said of a model's decisions: how they fared, and why the model is refused."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from components.evaluate.evidence import wilson
from components.evaluate.settings import Gate
from components.ingest.settings import Tag
from components.outside.assessment import Assessment
from components.outside.shares import Proportion, TagFigures


def in_words(assessment: Assessment, brief: bool = False) -> str:
    """Tells the shares of accepted pictures in a line; if brief, those of the classes alone."""
    if assessment.accepted is None:
        return "the model does not decide"
    parts = [f"accepts {_share(assessment.accepted, 'test pictures')}"]
    if assessment.accuracy:
        parts.append(f"{100 * assessment.accuracy.share:.1f} % of these right")
    if brief:
        return ", ".join(parts)
    for name, part in (("", assessment.shown), (" of kinds never shown", assessment.unseen)):
        if part:
            parts.append(_share(part.accepted, f"outsiders{name}"))
    if not assessment.kinds:
        parts.append("foreign pictures were not tested")
    for tag in assessment.tags:
        alone = f" (by pictures without names {100 * tag.alone.share:.1f} %)" if tag.alone else ""
        parts.append(f"{tag.column} {100 * tag.right.share:.1f} % of {tag.right.total:,}{alone}")
    return ", ".join(parts)


def _share(part: Proportion, what: str) -> str:
    return f"{100 * part.share:.1f} % of {part.total:,} {what}"


def failures_of(assessment: Assessment, gate: Gate, tags: Mapping[str, Tag] = MappingProxyType({})) -> tuple[str, ...]:
    """Says what of a gate a model does not reach, beyond what chance explains; a figure it lacks fails as well.

    Args:
        assessment: the figures.
        gate: what they must reach.
        tags: likewise those of further columns.
    """
    return (*_failures(assessment, gate), *_tag_failures(assessment.tags, tags, gate.significance))


def _failures(assessment: Assessment, gate: Gate) -> Iterator[str]:
    shown, unseen = (part.accepted if part else None for part in (assessment.shown, assessment.unseen))
    for name, value, limit, side in (
        ("accuracy among accepted pictures", assessment.accuracy, gate.accepted_accuracy, "below"),
        ("share of accepted pictures", assessment.accepted, gate.accepted, "below"),
        ("coverage of label sets", assessment.coverage, gate.coverage, "below"),
        ("share of accepted outsiders of known kinds", shown, gate.outsiders, "above"),
        ("share of accepted outsiders of kinds never shown", unseen, gate.unseen_outsiders, "above"),
    ):
        if limit is None:
            continue
        if value is None:
            yield f"{name} could not be computed: the model does not decide, or there is nothing to ask it about"
            continue
        low, high = (float(end) for end in wilson(value.count, value.total, gate.significance))
        if low > limit if side == "above" else high < limit:
            between = f"{100 * low:.1f}–{100 * high:.1f} % of {value.total:,}"
            yield f"{name} {100 * value.share:.2f} % ({between}) is {side} {100 * limit:.10g} %"


def _tag_failures(figures: Sequence[TagFigures], gates: Mapping[str, Tag], significance: float) -> Iterator[str]:
    """Yields what of its gates a model does not reach; accuracy may be lower by chance."""
    by_column = {each.column: each for each in figures}
    for column, gate in gates.items():
        reached = by_column.get(column)
        if reached is None:
            yield f"{column} could not be judged: no test picture has a value"
            continue
        right = reached.right
        if float(wilson(right.count, right.total, significance)[1]) < gate.accuracy:
            yield (
                f"{column}: accuracy {100 * right.share:.2f} % of {right.total:,} is below {100 * gate.accuracy:.10g} %"
            )
        if reached.macro_f1 < gate.macro_f1:
            yield f"{column}: macro-F1 {100 * reached.macro_f1:.2f} % is below {100 * gate.macro_f1:.10g} %"
