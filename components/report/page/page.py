"""The page of a run: one file that needs nothing else."""

import base64
import hashlib
import json
import math
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment

from components.report.facts import RunFacts
from components.report.facts.quality import QualityFacts
from components.report.page import formats
from components.report.page.card import write_card
from components.report.page.findings import Gaps, findings, judged, suggested_threshold, weak_slices
from components.report.page.plots import data, outside, quality, training
from components.report.page.plots.base import Plot, template

PAGE_FILE, CARD_FILE = "index.html", "card.md"

OUTCOMES = {
    "published": ("good", "✓", "Published"),
    "model refused": ("bad", "✕", "Model refused"),
    "data refused": ("bad", "✕", "Data refused"),
    "failed": ("bad", "✕", "Failed"),
    "unfinished": ("warn", "…", "Unfinished"),
}


def write_page(facts: RunFacts, folder: Path) -> Path:
    """Writes `index.html`, which opens from disk and asks the network for nothing, and `card.md`, the model card.

    What the run did not come to is said on the page. The folder is made if it is not there. Returns the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD_FILE).write_text(write_card(facts), encoding="utf-8")
    plots = plots_of(facts)
    return write_html(
        folder / PAGE_FILE,
        "report.html.j2",
        [plot for group in plots.values() for plot in group],
        facts=facts,
        findings=findings(facts),
        gaps=Gaps(facts.gaps),
        plots=plots,
        suggested=suggested_threshold(facts.quality.coverage) if facts.quality else None,
        weak=weak_slices(facts.quality) if facts.quality else (),
        ranked=ranked(facts.quality) if facts.quality else (),
        judged=judged(facts.quality, facts.verdict.gate or {}) if facts.quality else (),
    )


def plots_of(facts: RunFacts) -> dict[str, list[Plot]]:
    """The plots by the part of the page that they belong to; a part without any is there, empty."""
    parts = (
        "classes", "columns", "histograms", "drift", "training", "curves", "calibrated", "slices", "accepted",
    )  # fmt: skip
    plots: dict[str, list[Plot]] = {part: [] for part in parts}
    if facts.data:
        plots["classes"] = [data.class_counts(facts.data.classes)] if facts.data.classes else []
        shown = [column for column in facts.data.columns if column.values or column.missing]
        plots["columns"] = [make(column) for column in shown for make in (data.column_bars, data.column_pie)]
        plots["histograms"] = [data.histogram(measure) for measure in facts.data.histograms]
        plots["drift"] = [data.drift(facts.data.drift)] if facts.data.drift else []
    if facts.training:
        plots["training"] = [*training.learning_curves(facts.training.phases)] if facts.training.phases else []
    if facts.outside and facts.outside.assessment.curve:
        plots["accepted"] = [outside.accepted(facts.outside.assessment)]
    if facts.quality:
        plots.update(_quality_plots(facts.quality))
    return plots


def ranked(quality: QualityFacts) -> tuple[Any, ...]:
    """The classes, the lowest recall first; those without one come last."""
    return tuple(sorted(quality.classes, key=lambda row: (row.recall is None, row.recall or 0.0)))


def write_html(file: Path, name: str, drawn: Sequence[Plot], values: Any = None, **context: Any) -> Path:
    """Renders a template with the plots, the style and the scripts inside; every text of `context` is escaped.

    `drawn` holds all plots that the page shows; `values` are plain values for a script and a style of the page's own,
    called like the template. Returns `file`, which is written.
    """
    plotly, style, script = _assets()
    own_style, own_script = _own_assets(name.partition(".")[0]) if values is not None else ("", "")
    figures = {"template": template(), "figures": {plot.id: plot.figure for plot in drawn}}
    page = _environment().get_template(name)
    text = page.render(
        **context,
        style=style + own_style,
        script=script,
        own_script=own_script,
        data_json=_json_for_html(values),
        plotly=plotly if drawn else "",
        # The browser runs these scripts and no other, whatever stands in the data.
        hashes=[_hash(code) for code in (script, plotly, *filter(None, [own_script]))],
        figures_json=_json_for_html(figures),
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8", newline="\n")
    return file


@cache
def _environment() -> Environment:
    jinja = formats.environment(autoescape=True)
    jinja.globals.update(OUTCOMES=OUTCOMES, shade=shade)
    return jinja


def shade(share: float) -> float:
    """How strongly a cell of the confusion matrix is coloured, 0 … 1.

    Nothing lies between 0.45 and 0.85: there neither dark nor light figures could be read.
    """
    return 0.08 + 0.37 * min(1.0, share / 0.5) if share < 0.5 else 0.7 + 0.3 * share


def _quality_plots(facts: QualityFacts) -> dict[str, list[Plot]]:
    plots: dict[str, list[Plot]] = {}
    plots["curves"] = [quality.precision_recall(facts.curves, facts.classes)] if facts.curves else []
    plots["calibrated"] = [quality.calibration(facts.calibration)] if facts.calibration else []
    if facts.coverage:
        plots["calibrated"].append(quality.coverage(facts.coverage, suggested_threshold(facts.coverage)))
    columns = Counter(part.column for part in facts.slices)
    plots["slices"] = [
        quality.slices(column, [part for part in facts.slices if part.column == column], facts.accuracy)
        for column, _ in columns.most_common()[::-1]
    ]
    return plots


@cache
def _assets() -> tuple[str, str, str]:
    from plotly.offline import get_plotlyjs

    return get_plotlyjs(), *_own_assets("page")


def _own_assets(name: str) -> tuple[str, str]:
    style, script = (Path(__file__).with_name(name + suffix).read_text(encoding="utf-8") for suffix in (".css", ".js"))
    return style, script


def _hash(code: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"


def _json_for_html(value: Any) -> str:
    """JSON that cannot end the <script> it stands in."""
    text = json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _finite(value: Any) -> Any:
    """The same without what JSON cannot say, such as the loss of a training that diverged."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
