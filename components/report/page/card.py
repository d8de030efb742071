"""The model card of a run, in Markdown.

Its sections are those of the Model Card Toolkit's schema, https://github.com/tensorflow/model-card-toolkit, after
Mitchell et al. 2019, Model Cards for Model Reporting, https://arxiv.org/abs/1810.03993.
"""

import re
from functools import cache
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from components.outside.sentences import in_words
from components.report.facts import RunFacts
from components.report.page import formats
from components.report.page.findings import findings, suggested_threshold, weak_slices

# What Markdown or HTML inside it would take for more than a character.
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~$&!()])")


def write_card(facts: RunFacts) -> str:
    """The model card as Markdown; text from the data stays text, and what is not known is said to be not known."""
    quality = facts.quality
    card = _environment().get_template("card.md.j2")
    return card.render(
        facts=facts,
        findings=findings(facts),
        suggested=suggested_threshold(quality.coverage) if quality else None,
        weak=weak_slices(quality) if quality else (),
        words=in_words(facts.outside.assessment) if facts.outside else "",
    )


def escaped(value: Any) -> Any:
    """Text as Markdown shows it unchanged, on one line; other values as they are."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return _MARKUP.sub(r"\\\1", " ".join(value.splitlines()))


@cache
def _environment() -> Environment:
    jinja = formats.environment(finalize=escaped)
    jinja.filters |= {"code": _code, "escaped": escaped}
    return jinja


def _code(text: str | None) -> Markup:
    """A span of code that no backtick inside can end."""
    if not text:
        return Markup("not recorded")
    line = " ".join(text.split())
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    space = " " if longest else ""
    return Markup(f"{fence}{space}{line}{space}{fence}")
