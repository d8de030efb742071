"""What the docs say: reference pages are those of the code, links lead somewhere, commands are ones that there are."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import click
import pytest
from pydantic import BaseModel

from pipeline import cli
from pipeline.recipe import Recipe, load_recipe, recipe_names
from scripts import docs_site, reference
from tests import HOUSE

PAGES = sorted(
    page for folder in (".", "docs", "docs/reference", "serving/deploy", "benchmarks")
    for page in (HOUSE / folder).glob("*.md")
)  # fmt: skip
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def names(pages: list[Path]) -> list[str]:
    return [str(page.relative_to(HOUSE)) for page in pages]


def test_reference_pages_are_those_of_the_code() -> None:
    written = {page.name: page.read_text(encoding="utf-8") for page in reference.FOLDER.glob("*.md")}
    assert written == {name: f"{text.rstrip()}\n" for name, text in reference.pages().items()}, "run make docs"


def undescribed(model: type[BaseModel]) -> Iterator[str]:
    schema = model.model_json_schema()
    for name, inner in [(model.__name__, schema), *schema["$defs"].items()]:
        for key, part in inner["properties"].items():
            refers = "$ref" in str(part)
            if not part.get("description") and not refers:
                yield f"{name}.{key}"


def test_every_key_of_a_recipe_has_a_description() -> None:
    assert [*undescribed(Recipe)] == []


def test_the_readme_is_read_in_two_screens() -> None:
    assert len((HOUSE / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_every_page_has_its_place_on_the_site(page: Path) -> None:
    assert f": {page.relative_to(HOUSE)}\n" in (HOUSE / "mkdocs.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize(("link", "staged"), [
    ("[runs](runs.md#the-report)", "[runs](runs.md#the-report)"),
    ("[the graph](../pipeline/graph.py)", "the graph (`pipeline/graph.py`)"),
    ("[`pipeline/graph.py`](../pipeline/graph.py)", "`pipeline/graph.py`"),
    ("[gone](gone.md)", "[gone](gone.md)"),  # for MkDocs to find
    ("`[a](../pipeline/graph.py)`", "`[a](../pipeline/graph.py)`"),
])  # fmt: skip
def test_a_link_to_what_the_site_does_not_hold_becomes_its_path(link: str, staged: str) -> None:
    page, files = Path("docs/tutorial.md"), {Path("docs/runs.md")}
    assert docs_site.LINK.sub(lambda found: docs_site.within(found, page, files), link) == staged


def anchors(page: Path) -> set[str]:
    """What its headings are called in links, as on the hosts of git and on the site."""
    headings = re.findall(r"^#+ (.*)", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text(encoding="utf-8")))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        address = urlsplit(target)
        if address.scheme:
            assert address.scheme in ("http", "https", "mailto")
            assert "." in address.netloc or address.scheme == "mailto", target
            continue
        file = (page.parent / address.path).resolve() if address.path else page
        assert file.exists(), target
        assert not address.fragment or address.fragment in anchors(file), target


def commands(text: str) -> Iterator[tuple[str, bool]]:
    """The command lines of `fashion` on a page, and whether each is shown whole: not as a part of a sentence."""
    blocks = [body for _, language, body in FENCE.findall(text) if language in ("", "bash", "sh", "console")]
    text = FENCE.sub("", text)
    lines = [*"\n".join(blocks).splitlines(), *(line for line in text.splitlines() if line.startswith("    "))]
    while lines:
        line = lines.pop(0)
        if re.match(r"\s*(\$ )?(\.venv/bin/)?fashion [a-z]", line):
            while line.endswith("\\") or not balanced(line):
                line = line.removesuffix("\\") + "\n" + lines.pop(0)
            yield re.sub(r"^\s*(\$ )?(\.venv/bin/)?", "", line), "..." not in line
    for span in re.findall(r"`(fashion [a-z][^`]*)`", text):
        yield span.replace("\\|", "|"), False


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_every_other_command_names_what_there_is(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z0-9-]+):", (HOUSE / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for target in re.findall(r"(?:`|^    )make ([a-z0-9_-]+)", text, re.MULTILINE):
        assert target in targets or (HOUSE / "benchmarks" / f"{target.removeprefix('bench-')}.py").is_file(), target
    for module in re.findall(r"python -m (benchmarks\.\w+)", text):
        assert (HOUSE / f"{module.replace('.', '/')}.py").is_file(), module
    for file in re.findall(r"`((?:tests|scripts|components|pipeline|serving|schema|benchmarks)/[\w/.]+)`", text):
        assert (HOUSE / file).exists(), file


def balanced(line: str) -> bool:
    try:
        return bool(shlex.split(line, comments=True))
    except ValueError:
        return False


def words(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = "#"
    taken = []
    for word in lexer:
        if set(word) <= set("|&;<>"):
            break
        taken.append(word)
    return [word for word in taken[1:] if word not in ("...", "…") and not re.fullmatch(r"\$[A-Z]+", word)]


def check(command: click.Command, given: list[str], parent: click.Context | None, whole: bool) -> None:
    try:
        context = command.make_context(command.name, given, parent)
        if isinstance(command, click.Group):
            _, below, rest = command.resolve_command(context, [*context._protected_args, *context.args])
            check(below, rest, context, whole)
            return
    except click.exceptions.Exit:
        return  # --help
    except (click.MissingParameter, click.BadOptionUsage, click.exceptions.NoArgsIsHelpError):
        if whole:
            raise
        return
    if {"recipe", "overrides"} <= context.params.keys():
        recipe = context.params["recipe"]
        load_recipe(recipe if recipe in recipe_names() else "six_class", context.params["overrides"] or ())


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_every_command_shown_is_one_that_fashion_takes(page: Path) -> None:
    for line, whole in commands(page.read_text(encoding="utf-8")):
        try:
            check(cli.main, words(line), None, whole)
        except (click.UsageError, AssertionError) as error:
            pytest.fail(f"{line}: {getattr(error, 'message', error)}")
