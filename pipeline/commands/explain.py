"""`fashion explain`: what a model answers about pictures, what in them speaks for it, and which products look alike."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.commands import PATH, Command
from pipeline.commands.predict import DECIDE, MODEL, read_thresholds

if TYPE_CHECKING:
    from fashion_client import Prediction

    from serving.search.query import Match

_NEIGHBOURS = 5
_SHADES, _LEAST = " ░▒▓█", 1e-9  # of a logit

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
    from components.errors import AnswerError
    from components.index.asking import each_similar, find_index, read_pictures
    from pipeline.asking import Choice, asking, identify

    choice, version = identify(Choice(**model))
    index, pictures = find_index(choice.model or Path()), read_pictures(images)
    with asking(choice) as client:
        answers = client.explain(list(pictures.values()), thresholds)
        for name, answer in zip(pictures, answers, strict=True):
            if answer.error:
                raise AnswerError(f"{name}: {answer.error}.")
        near = each_similar(index, pictures, client, _NEIGHBOURS) if index else [[] for _ in pictures]
    for name, answer, matches in zip(pictures, answers, near, strict=True):
        click.echo("\n".join(_lines(name, answer, matches)))
    if html:
        from components.index.gallery import write_explanations

        click.echo(write_explanations(html, version, index, pictures, answers, near), err=True)


def _lines(name: str, answer: "Prediction", matches: "Sequence[Match]") -> list[str]:
    tags = [f"{column} {tag.label} {tag.confidence:.1%}" for column, tag in answer.tags.items()]
    said = " · ".join(filter(None, [f"{answer.label}, {answer.confidence:.1%}", answer.decision, *tags]))
    heat = answer.explanation or ()
    most = max([_LEAST, *(value for row in heat for value in row)]) / (len(_SHADES) - 1)
    rows = ["".join(2 * _SHADES[round(max(value, 0.0) / most)] for value in row) for row in heat]
    top = [f"{label} {score:.1%}" for label, score in answer.top]
    like = [f"{match.score:.3f} {match.id} {' · '.join(map(str, match.attributes.values()))}" for match in matches]
    return [f"{name}: {said}", *(f"  │{row}│" for row in rows), f"  {', '.join(top)}", *(f"  {line}" for line in like)]
