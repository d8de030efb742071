"""Gathers the facts of a run from its artifacts: whatever there is, and of the rest why it is missing."""

from collections.abc import Callable
from pathlib import Path

from components.report.data_section import data_facts
from components.report.facts import RunFacts
from components.report.facts.quality import ProductAnswers
from components.report.outside_section import outside_facts
from components.report.provenance_section import provenance_facts
from components.report.quality_section import quality_facts
from components.report.reading import Reading
from components.report.sources import Sources
from components.report.training_section import training_facts
from components.report.verdict_section import verdict_facts

FACTS_FILE = "facts.json"


def collect(
    sources: Sources, folder: Path, doubts: Callable[[Reading], tuple[ProductAnswers, ...]] = lambda _: ()
) -> RunFacts:
    """Gathers all that is to be said of a run. What fails is left out, logged, and listed among the gaps.

    `folder` receives `predictions.npz` and `recipe.yaml`; predictions that lie there are taken as they are.
    `doubts` finds the test products whose labels are to be looked at.
    """
    folder.mkdir(parents=True, exist_ok=True)
    reading = Reading(sources, folder)
    quality, pictures = quality_facts(reading)
    return RunFacts(
        run=sources.run,
        recipe=sources.recipe,
        began=sources.began,
        seconds=sources.seconds,
        classes=reading.classes,
        verdict=verdict_facts(sources, reading.verdict, reading.problems, reading.failures),
        data=data_facts(reading),
        training=training_facts(reading),
        quality=quality,
        outside=outside_facts(reading),
        pictures=pictures,
        provenance=provenance_facts(reading, folder),
        doubts=reading.attempt("data", "labels to look at", lambda: doubts(reading)) or (),
        copies=reading.copies,
        index=reading.index,
        gaps=tuple(dict.fromkeys(reading.gaps)),  # last: each part may add some
    )
