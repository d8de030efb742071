"""A page of similar products: what was asked about, what was found, with pictures, attributes and similarities."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.answers.inputs import Products
from components.errors import FashionError
from components.index.asking import read_pictures
from components.ingest.faults import Fault
from components.ingest.settings import Layout
from components.report.page.page import write_html
from components.report.thumbnail import thumbnail
from serving.search.index import Index
from serving.search.query import Match


def write_gallery(
    file: Path,
    index: Index,
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
    wanted = {*ids, *(match.id for match in matches)}
    try:
        pictures, lack = _pictures(index, wanted), ""
    except FashionError as error:
        pictures, lack = {}, f", without pictures of products: {error}"
    asked = [*named.items(), *((identity, pictures.get(identity)) for identity in ids)]
    found = [(match, pictures.get(match.id)) for match in matches]
    settings = {name: value for name, value in query.items() if value}
    write_html(file, "similar.html.j2", [], index=index, asked=asked, found=found, settings=settings)
    return f"{file}{lack}"


def _pictures(index: Index, ids: Iterable[str]) -> dict[str, bytes | None]:
    """Thumbnails of products."""
    data = index.facts["data"]
    products = Products(Path(data["path"]), None, Layout.model_validate(data["layout"], strict=False))
    wanted, pictures = set(ids), dict[str, bytes | None]()
    for each in products:
        if each.name[1] in wanted:
            content = products.read(each.item)
            pictures[str(each.name[1])] = None if isinstance(content, Fault) else thumbnail(content)
    return pictures
