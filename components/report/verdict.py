"""What a run came to, in one sentence and its reasons."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from components.evaluate.figures import Figures
from components.evaluate.sentences import note_on_rare
from components.evaluate.settings import Gate
from components.report.facts import Baseline, ClassQuality, QualityFacts, Reason, VerdictFacts
from components.report.sources import Sources

if TYPE_CHECKING:
    from components.evaluate.verdict import Verdict

_DONE = ("complete", "cached")


def verdict_facts(sources: Sources, verdict: "Verdict | None", problems: Sequence[str]) -> VerdictFacts:
    """Says what a run came to.

    Args:
        sources: the run.
        verdict: its evaluation; None if it did not come to one.
        problems: why its data were refused, if they were.
    """
    found = _figures(verdict)
    failed = next((stage.name for stage in sources.stages if stage.state == "failed"), None)
    pushed = sources.pushed
    if failed and not (pushed and pushed.get("pushed")):
        return _failed(found, sources, failed, problems)
    if verdict and not verdict.blessed:
        reasons = tuple(Reason(failure.name, failure.sentence) for failure in verdict.failures)
        sentence = f"{_most(reasons)} Nothing was published."
        return replace(found, outcome="model refused", sentence=sentence, reasons=reasons, serving=_serving(sources))
    if pushed and pushed.get("pushed"):
        version, serving = int(pushed["pushed_version"]), _serving(sources)
        promote = f"until `fashion models promote {sources.recipe} {version}`"
        other = "" if serving in (version, None) else f" Version {serving} serves, as models.config has it, {promote}."
        sentence = f"Published as version {version}.{other}{f' Then {failed} failed.' if failed else ''}"
        return replace(found, outcome="published", sentence=sentence, version=version, serving=serving)
    if pushed:
        unservable = pushed.get("unservable")
        why = f"It fails in a server: {unservable}." if unservable else "Its evaluation did not approve it."
        sentence = f"{why} Nothing was published."
        return replace(found, outcome="model refused", sentence=sentence, serving=_serving(sources))
    return replace(found, sentence=f"The run has not come to its end: {_reached(sources)}.")


def _reached(sources: Sources) -> str:
    running = next((stage.name for stage in sources.stages if stage.state == "running"), None)
    done = [stage.name for stage in sources.stages if stage.state in _DONE]
    if running:
        return f"{running} did not end, or is under way"
    return f"it ends after {done[-1]}" if done else "nothing ran"


def quality_of_verdict(verdict: "Verdict") -> QualityFacts:
    """The figures of an evaluation, as they stand in its artifact."""
    return QualityFacts(
        examples=verdict.examples,
        accuracy=verdict.accuracy,
        loss=verdict.loss,
        macro_precision=verdict.macro_precision,
        macro_recall=verdict.macro_recall,
        macro_f1=verdict.macro_f1,
        macro_auprc=verdict.macro_auprc,
        classes=tuple(
            ClassQuality(
                of.name, of.precision, of.recall, of.f1, of.auprc, of.support, of.predicted, of.baseline_recall
            )
            for of in verdict.classes
        ),
        confusion=verdict.confusion,
        top5_accuracy=verdict.top5_accuracy,
    )


def quality_of_answers(of: Figures, classes: Sequence[str], confusion: tuple[tuple[int, ...], ...]) -> QualityFacts:
    """The same figures, of a model that was never evaluated."""
    return QualityFacts(
        examples=int(of.classes["support"].sum()),
        classes=tuple(
            ClassQuality(
                name=name,
                precision=_number(of.classes["precision"][i]),
                recall=_number(of.classes["recall"][i]),
                f1=_number(of.classes["f1"][i]),
                auprc=_number(of.classes["auprc"][i]),
                support=int(of.classes["support"][i]),
                predicted=int(of.classes["predicted"][i]),
            )
            for i, name in enumerate(classes)
        ),
        confusion=confusion,
        accuracy=_number(of.overall["accuracy"]),
        loss=_number(of.overall["loss"]),
        macro_precision=_number(of.overall["macro_precision"]),
        macro_recall=_number(of.overall["macro_recall"]),
        macro_f1=_number(of.overall["macro_f1"]),
        macro_auprc=_number(of.overall["macro_auprc"]),
        top5_accuracy=_number(of.overall["top5_accuracy"]),
    )


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _figures(verdict: "Verdict | None") -> VerdictFacts:
    """The figures alone; what the run came to is still to be said."""
    if verdict is None:
        return VerdictFacts("unfinished", "")
    recalls = [(of.recall, of.name) for of in verdict.classes if of.recall is not None]
    lowest, name = min(recalls, default=(None, None))
    return VerdictFacts(
        "unfinished",
        "",
        accuracy=verdict.accuracy,
        macro_f1=verdict.macro_f1,
        lowest_recall=lowest,
        lowest_recall_class=name,
        baseline=_baseline(verdict),
        gate=_limits(verdict.gate),
        rare=note_on_rare(verdict),
    )


def _baseline(verdict: "Verdict") -> Baseline | None:
    if verdict.baseline_accuracy is None:
        return None
    return Baseline(verdict.baseline_accuracy, {of.name: of.baseline_recall for of in verdict.classes})


def _limits(gate: Gate) -> Mapping[str, float]:
    return {name: float(value) for name, value in gate.model_dump().items() if value is not None}


def _failed(found: VerdictFacts, sources: Sources, stage: str, problems: Sequence[str]) -> VerdictFacts:
    if stage == "gate" and problems:
        reasons = tuple(Reason(None, problem) for problem in problems)
        sentence = "The data are not fit to train on. Nothing was trained."
        return replace(found, outcome="data refused", sentence=sentence, reasons=reasons)
    said = sources.errors.get(stage)
    reasons = (Reason(None, said),) if said else ()
    return replace(found, outcome="failed", sentence=f"{stage} failed. Nothing was published.", reasons=reasons)


def _serving(sources: Sources) -> int | None:
    version = str((sources.pushed or {}).get("version", ""))
    return int(version) if version.isdecimal() else None


def _most(reasons: Iterable[Reason]) -> str:
    told = list(reasons)
    first = told[0].sentence if told else "it did not meet the gate"
    more = f", and {len(told) - 1} more" if len(told) > 1 else ""
    return f"Refused: {first}{more}."
