"""`fashion explain`: what a model answers about pictures, what in them speaks for it, and which products look alike."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.commands import PATH, Command
from pipeline.commands.predict import DECIDE, MODEL, read_thresholds

if TYPE_CHECKING:
    from fashion_client import Prediction

    from serving.search.query import Match

_NEIGHBOURS = 5
_SHADES = " ░▒▓█"

EXIT_CODES = """
\b
Exit codes: 0 all answered · 2 wrong option · 3 pictures cannot be read ·
10 the model cannot answer, or a picture is none · 130 stopped by Ctrl-C
"""


@click.command(cls=Command, epilog=EXIT_CODES)
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@MODEL
@DECIDE
@click.option("--html", type=PATH, metavar="FILE", help="Write a page with the pictures under their heat maps.")
def explain(images: tuple[str, ...], html: Path | None, decide: str | None, **model: Any) -> None:
    """Say what pictures show, and why.

    That is where they speak for the answer, and the products that look like them. The darker a place of the map, the
    more it adds to the answer. Products are those of the index that answers for the
    model, where there is one: `fashion index` makes it.

    \b
      fashion explain shoe.jpg
      fashion explain shoe.jpg bag.jpg --html why.html
      fashion explain shoe.jpg --model runs/serving --model-version 1795622687
    """
    thresholds = read_thresholds(decide)
    from components.answers.ask import model_name
    from components.errors import AnswerError
    from components.index.asking import find_index, read_pictures, similar_to
    from pipeline.asking import Choice, asking, identify

    choice, _ = identify(Choice(**model))
    folder = choice.model or Path()
    index, pictures = find_index(folder), read_pictures(images)
    with asking(choice) as client:
        answers = client.explain(list(pictures.values()), thresholds)
        for name, answer in zip(pictures, answers, strict=True):
            if answer.error:
                raise AnswerError(f"{name}: {answer.error}.")
        near = [
            similar_to(index, [name], (), lambda: nullcontext(client), k=_NEIGHBOURS) if index else []
            for name in pictures
        ]
    for name, answer, matches in zip(pictures, answers, near, strict=True):
        click.echo("\n".join(_lines(name, answer, matches)))
    if html:
        from components.index.gallery import write_explanations

        click.echo(write_explanations(html, model_name(folder), index, pictures, answers, near), err=True)


def _lines(name: str, answer: "Prediction", matches: "Sequence[Match]") -> list[str]:
    tags = [f"{column} {tag.label} {tag.confidence:.1%}" for column, tag in answer.tags.items()]
    said = " · ".join(filter(None, [f"{answer.label}, {answer.confidence:.1%}", answer.decision, *tags]))
    heat = answer.explanation or ()
    most = max((value for row in heat for value in row), default=0.0)
    rows = ["".join(2 * _SHADES[_shade(value, most)] for value in row) for row in heat]
    top = [f"{label} {score:.1%}" for label, score in answer.top]
    like = [f"{match.score:.3f} {match.id} {' · '.join(map(str, match.attributes.values()))}" for match in matches]
    return [f"{name}: {said}", *(f"  │{row}│" for row in rows), f"  {', '.join(top)}", *(f"  {line}" for line in like)]


def _shade(value: float, most: float) -> int:
    return round(max(value, 0.0) / most * (len(_SHADES) - 1)) if most > 0 else 0
