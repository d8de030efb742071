"""Pages that show products of an index beside pictures that a model was asked about."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from fashion_client import Prediction

from components.answers.inputs import Products
from components.errors import FashionError
from components.index.asking import read_pictures
from components.ingest.faults import Fault
from components.ingest.settings import Layout
from components.report.page.page import write_html
from components.report.thumbnail import heated, thumbnail
from serving.search.query import Match, Searchable

_LARGE = 320  # pixels


def write_gallery(
    file: Path,
    index: Searchable,
    images: Sequence[str],
    ids: Sequence[str],
    query: Mapping[str, Any],
    matches: Sequence[Match],
) -> str:
    """Writes the page, with pictures from the catalogue that the index was made of.

    Returns:
        One line about it: where it is, and what it lacks if the catalogue cannot be read any more.
    """
    named = {name: thumbnail(content) for name, content in read_pictures(images).items()}
    pictures, lack = _pictures(index, {*ids, *(match.id for match in matches)})
    asked = [*named.items(), *((identity, pictures.get(identity)) for identity in ids)]
    found = [(match, pictures.get(match.id)) for match in matches]
    settings = {name: value for name, value in query.items() if value}
    write_html(file, "similar.html.j2", [], index=index, asked=asked, found=found, settings=settings)
    return f"{file}{lack}"


def write_explanations(
    file: Path,
    model: str,
    index: Searchable | None,
    pictures: Mapping[str, bytes],
    answers: Sequence[Prediction],
    matches: Sequence[Sequence[Match]],
) -> str:
    """Writes a page on each picture: what it shows by which model, its heat map, and products of the index like it.

    Returns:
        As `write_gallery`.
    """
    wanted = {match.id for near in matches for match in near}
    products, lack = _pictures(index, wanted) if index else ({}, "")
    explained = []
    for (name, content), answer, near in zip(pictures.items(), answers, matches, strict=True):
        shown = thumbnail(content, _LARGE)
        heat = heated(shown, answer.explanation) if shown and answer.explanation else None
        explained.append((name, shown, heat, answer, [(match, products.get(match.id)) for match in near]))
    write_html(file, "explain.html.j2", [], model=model, index=index, explained=explained)
    return f"{file}{lack}"


def _pictures(index: Searchable, wanted: Collection[str]) -> tuple[dict[str, bytes | None], str]:
    """Thumbnails of products from the catalogue, and what is lacking where that cannot be read any more."""
    data, pictures = index.facts["data"], dict[str, bytes | None]()
    try:
        products = Products(Path(data["path"]), None, Layout.model_validate(data["layout"], strict=False))
        for each in products if wanted else ():
            if each.name[1] in wanted:
                content = products.read(each.item)
                pictures[str(each.name[1])] = None if isinstance(content, Fault) else thumbnail(content)
    except FashionError as error:
        return {}, f", without pictures of products: {error}"
    return pictures, ""
