"""The section on the verdict: what a run came to, in one sentence and its reasons."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from components.evaluate.sentences import note_on_rare
from components.report.facts.verdict import Baseline, Reason, VerdictFacts
from components.report.sources import Sources

if TYPE_CHECKING:
    from components.evaluate.verdict import Verdict

_DONE = ("complete", "cached")


def verdict_facts(
    sources: Sources, verdict: "Verdict | None", problems: Sequence[str], failures: Sequence[str] = ()
) -> VerdictFacts:
    """Says what a run came to.

    Its evaluation is None if it did not come to one; `problems` are why its data were refused, if they were, and
    `failures` why its model's decisions were.
    """
    facts = _figures(verdict)
    failed = next((stage.name for stage in sources.stages if stage.state == "failed"), None)
    pushed = sources.pushed
    if failed and not (pushed and pushed.get("pushed")):
        return _failed(facts, sources, failed, problems)
    if verdict and (failures or not verdict.blessed):
        named = ((failure.name, failure.sentence) for failure in verdict.failures)
        reasons = tuple(Reason(*each) for each in (*named, *((None, sentence) for sentence in failures)))
        sentence = f"{_most(reasons)} Nothing was published."
        return replace(facts, outcome="model refused", sentence=sentence, reasons=reasons, serving=_serving(sources))
    if pushed and pushed.get("pushed"):
        version, serving = int(pushed["pushed_version"]), _serving(sources)
        promote = f"until `fashion models promote {sources.recipe} {version}`"
        other = "" if serving in (version, None) else f" Version {serving} serves, as models.config has it, {promote}."
        sentence = f"Published as version {version}.{other}{f' Then {failed} failed.' if failed else ''}"
        return replace(facts, outcome="published", sentence=sentence, version=version, serving=serving)
    if pushed:
        unservable = pushed.get("unservable")
        why = f"It fails in a server: {unservable}." if unservable else "Its evaluation did not approve it."
        sentence = f"{why} Nothing was published."
        return replace(facts, outcome="model refused", sentence=sentence, serving=_serving(sources))
    return replace(facts, sentence=f"The run has not come to its end: {_reached(sources)}.")


def _reached(sources: Sources) -> str:
    running = next((stage.name for stage in sources.stages if stage.state == "running"), None)
    done = [stage.name for stage in sources.stages if stage.state in _DONE]
    if running:
        return f"{running} did not end, or is under way"
    return f"it ends after {done[-1]}" if done else "nothing ran"


def _figures(verdict: "Verdict | None") -> VerdictFacts:
    """The figures alone; what the run came to is still to be said."""
    if verdict is None:
        return VerdictFacts("unfinished", "")
    recalls = [(row.recall, row.name) for row in verdict.classes if row.recall is not None]
    lowest, name = min(recalls, default=(None, None))
    baseline = None
    if verdict.baseline_accuracy is not None:
        baseline = Baseline(verdict.baseline_accuracy, {row.name: row.baseline_recall for row in verdict.classes})
    return VerdictFacts(
        "unfinished", "", accuracy=verdict.accuracy, macro_f1=verdict.macro_f1, lowest_recall=lowest,
        lowest_recall_class=name, baseline=baseline, rare=note_on_rare(verdict),
        gate={name: float(value) for name, value in verdict.gate.model_dump().items() if value is not None},
    )  # fmt: skip


def _failed(facts: VerdictFacts, sources: Sources, stage: str, problems: Sequence[str]) -> VerdictFacts:
    if stage == "gate" and problems:
        reasons = tuple(Reason(None, problem) for problem in problems)
        sentence = "The data are not fit to train on. Nothing was trained."
        return replace(facts, outcome="data refused", sentence=sentence, reasons=reasons)
    message = sources.errors.get(stage)
    reasons = (Reason(None, message),) if message else ()
    return replace(facts, outcome="failed", sentence=f"{stage} failed. Nothing was published.", reasons=reasons)


def _serving(sources: Sources) -> int | None:
    version = str((sources.pushed or {}).get("version", ""))
    return int(version) if version.isdecimal() else None


def _most(reasons: Iterable[Reason]) -> str:
    listed = list(reasons)
    first = listed[0].sentence if listed else "it did not meet the gate"
    more = f", and {len(listed) - 1} more" if len(listed) > 1 else ""
    return f"Refused: {first}{more}."
