"""The page of a run as a browser shows it: on a desk, on a phone, on paper, by mouse and by keyboard."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fashion_client import Prediction, Tag

from components.index.gallery import write_explanations
from components.report.page import write_comparison, write_page
from tests.report.drawn_facts import HOSTILE, empty_facts, full_facts, refused_facts
from tests.report.inputs import jpeg

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make install")

CHROMIUM = shutil.which("chromium")
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
SECTIONS = ["verdict", "data", "training", "quality", "outside", "pictures", "provenance"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium"),
]


@dataclass
class Opened:
    """A page with all that it complained of and asked for."""

    page: "playwright.Page"
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def bring(self, selector: str) -> None:
        """Scrolls there and waits for what is drawn."""
        self.page.locator(selector).first.scroll_into_view_if_needed()
        self.page.wait_for_function(
            "selector => [...document.querySelectorAll(`${selector} [data-figure]`)].slice(0, 2)"
            ".every(of => of.querySelector('svg.main-svg'))",
            arg=selector,
        )


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    runs = {"six": full_facts(6), "many": full_facts(59), "refused": refused_facts(), "empty": empty_facts()}
    written = {name: write_page(facts, folder / name) for name, facts in runs.items()}
    write_comparison(runs["six"], runs["many"], folder / "comparison.html")
    top, tags, heat = (("shoes", 0.91), (HOSTILE, 0.09)), {HOSTILE: Tag(HOSTILE, 0.8)}, [[1.0, -2.0], [0.5, 4.0]]
    answer = Prediction("", "shoes", 0.91, top, decision="unsure", tags=tags, explanation=heat)
    write_explanations(folder / "explanation.html", "six/7", None, {HOSTILE: jpeg(600, 800)}, [answer], [[]])
    return {**written, **{name: folder / f"{name}.html" for name in ("comparison", "explanation")}}


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    with playwright.sync_playwright() as running:
        # Its own sandbox needs rights that containers do not give.
        opened = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


def opened(
    browser: "playwright.Browser", page: Path, size: dict[str, int] = DESK, scheme: str = "light"
) -> Iterator[Opened]:
    context = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")
    shown = Opened(context.new_page())
    shown.page.on("console", lambda message: shown.complaints.append(f"{message.type}: {message.text}"))
    shown.page.on("pageerror", lambda error: shown.complaints.append(str(error)))
    shown.page.on("dialog", lambda dialog: (shown.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    shown.page.on("request", lambda request: shown.requests.append(request.url))
    shown.page.goto(page.as_uri())
    yield shown
    context.close()


@pytest.fixture
def six(browser: "playwright.Browser", pages: dict[str, Path]) -> Iterator[Opened]:
    yield from opened(browser, pages["six"])


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("six", DESK),
        ("many", PHONE),
        ("refused", PHONE),
        ("empty", DESK),
        ("comparison", DESK),
        ("comparison", PHONE),
        ("explanation", DESK),
        ("explanation", PHONE),
    ],
)
def test_a_page_is_silent_asks_for_nothing_and_fits_its_window(
    browser: "playwright.Browser", pages: dict[str, Path], name: str, size: dict[str, int]
) -> None:
    for shown in opened(browser, pages[name], size):
        shown.page.evaluate(
            "async () => { for (let top = 0; top < document.documentElement.scrollHeight; top += 1000)"
            " { scrollTo(0, top); await new Promise(requestAnimationFrame); } }"
        )
        shown.page.wait_for_function(
            "[...document.querySelectorAll('[data-figure]')].every(of => of.querySelector('svg.main-svg'))"
        )
        assert shown.complaints == []
        assert [url for url in shown.requests if not url.startswith("data:")] == [pages[name].as_uri()]
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= size["width"]


def test_all_sections_are_there_and_the_verdict_is_seen_first(six: Opened) -> None:
    assert six.page.locator("main > section").evaluate_all("all => all.map(of => of.id)") == SECTIONS
    verdict = six.page.locator("h1").bounding_box()
    assert verdict is not None
    assert verdict["y"] < 200
    assert six.page.locator("h1").inner_text() == "Published"


def test_text_from_the_data_is_shown_and_never_run(six: Opened) -> None:
    assert six.page.locator("#worst .card .name").first.inner_text() == HOSTILE
    assert HOSTILE in six.page.locator("#recipe code").inner_text()
    six.bring("#columns")
    labels = six.page.locator("[data-figure=column-gender] .ytick text").all_text_contents()
    assert any(label.startswith("<script>alert(1)</script>") for label in labels)
    assert six.page.locator("script").count() == 4
    assert six.complaints == []


def test_pointing_at_a_plot_shows_its_figures(six: Opened) -> None:
    six.bring("#balance")
    bar = six.page.locator("[data-figure=class-counts] .bars .point").first.bounding_box()
    assert bar is not None
    six.page.mouse.move(bar["x"] + bar["width"] / 2, bar["y"] + bar["height"] / 2)
    hover = six.page.locator("[data-figure=class-counts] .hoverlayer .hovertext")
    hover.first.wait_for()
    assert "in an epoch" in (hover.first.text_content() or "")


def test_pointing_at_the_confusion_matrix_shows_counts_and_example_pictures(six: Opened) -> None:
    facts = full_facts(6)
    assert facts.quality is not None
    pair = facts.quality.pairs[0]
    link = six.page.locator(".matrix a[href='#pair-1']")
    link.scroll_into_view_if_needed()
    link.hover()
    tip = six.page.locator("#tip")
    row = facts.quality.confusion[facts.classes.index(pair.true)]
    assert tip.inner_text().startswith(f"{pair.count} of {sum(row)} {pair.true} taken for {pair.predicted} (")
    assert tip.locator("img").count() == len(pair.examples)
    six.page.keyboard.press("Escape")
    assert tip.is_hidden()
    link.click()
    assert six.page.url.endswith("#pair-1")
    assert six.page.locator("#pair-1").is_visible()


def test_the_theme_can_be_changed_and_the_plots_follow(six: Opened) -> None:
    six.bring("#balance")
    ground = "getComputedStyle(document.body).backgroundColor"
    ink = "getComputedStyle(document.querySelector('[data-figure=class-counts] .legendtext')).fill"
    bars = "getComputedStyle(document.querySelector('[data-figure=class-counts] .bars path')).fill"
    before = [six.page.evaluate(each) for each in (ground, ink, bars)]
    six.page.locator("#theme").click()
    after = [six.page.evaluate(each) for each in (ground, ink, bars)]
    assert all(one != other for one, other in zip(before, after, strict=True))
    assert before[0] == "rgb(250, 250, 249)"
    assert after[0] == "rgb(18, 20, 23)"
    six.page.locator("#theme").click()
    assert [six.page.evaluate(each) for each in (ground, ink, bars)] == before


def test_a_chosen_theme_is_remembered_and_the_system_s_is_the_default(
    browser: "playwright.Browser", pages: dict[str, Path]
) -> None:
    scheme = "getComputedStyle(document.body).backgroundColor"
    for shown in opened(browser, pages["six"], scheme="dark"):
        assert shown.page.evaluate(scheme) == "rgb(18, 20, 23)"
        shown.page.locator("#theme").click()
        # On a busy machine the page follows a little later; should it not, this ends the test.
        shown.page.wait_for_function(f"{scheme} === 'rgb(250, 250, 249)'")
        shown.page.reload()
        shown.page.wait_for_function(f"{scheme} === 'rgb(250, 250, 249)'")


def test_the_keyboard_reaches_every_section(six: Opened) -> None:
    six.page.keyboard.press("Tab")
    assert six.page.evaluate("document.activeElement.className") == "skip"
    reached = []
    for _ in SECTIONS:
        six.page.keyboard.press("Tab")
        reached.append(six.page.evaluate("document.activeElement.hash"))
    assert reached == [f"#{section}" for section in SECTIONS]
    assert six.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    six.page.keyboard.press("Enter")
    six.page.wait_for_function("document.querySelector('#provenance').getBoundingClientRect().top < 300")
    assert six.page.locator("nav [aria-current]").inner_text() == "Provenance"


def test_the_heads_of_the_class_table_sort_it(six: Opened) -> None:
    first = six.page.locator("#classes tbody tr").first
    lowest = first.locator("th").inner_text()
    six.page.get_by_role("button", name="recall", exact=True).click()
    values = six.page.locator("#classes tbody tr td:nth-child(2)").evaluate_all(
        "all => all.map(of => +of.dataset.value)"
    )
    assert values == sorted(values, reverse=True)
    six.page.get_by_role("button", name="recall", exact=True).click()
    assert first.locator("th").inner_text() == lowest


@pytest.mark.parametrize(("size", "least"), [(DESK, 17), (PHONE, 22)], ids=["1280", "390"])
def test_fifty_nine_classes_can_be_read_in_the_matrix(
    browser: "playwright.Browser", pages: dict[str, Path], size: dict[str, int], least: int
) -> None:
    for shown in opened(browser, pages["many"], size):
        box = shown.page.locator(".matrix")
        box.scroll_into_view_if_needed()
        cells = box.locator("td").evaluate_all(
            "all => all.map(of => [of.offsetWidth, of.offsetHeight, of.scrollWidth - of.clientWidth,"
            " parseFloat(getComputedStyle(of).fontSize)])"
        )
        assert len(cells) == 59 * 59
        assert min(min(width, height) for width, height, _, _ in cells) >= least
        assert max(over for _, _, over, _ in cells) <= 0
        assert min(font for *_, font in cells) >= 10
        box.evaluate("of => of.scrollTo(of.scrollWidth, of.scrollHeight)")
        frame = box.bounding_box()
        row = box.locator("tbody th").last.bounding_box()
        column = box.locator("thead th").last.bounding_box()
        corner = box.locator("td").last.bounding_box()
        assert frame
        assert row
        assert column
        assert corner
        assert row["x"] - frame["x"] <= 2
        assert column["y"] - frame["y"] <= 2
        assert corner["x"] + corner["width"] <= frame["x"] + frame["width"]
        assert frame["x"] >= 0
        assert frame["x"] + frame["width"] <= size["width"]


def test_it_prints_with_all_plots_on_white(six: Opened, tmp_path: Path) -> None:
    six.page.locator("#theme").click()
    six.page.pdf(path=tmp_path / "page.pdf", prefer_css_page_size=True)
    assert (tmp_path / "page.pdf").stat().st_size > 100_000
    drawn = "[...document.querySelectorAll('[data-figure]')].every(of => of.querySelector('svg.main-svg'))"
    assert six.page.evaluate(drawn)
    assert six.page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert six.complaints == []


def test_every_control_and_region_has_a_name(six: Opened) -> None:
    nameless = six.page.evaluate(
        """() => [...document.querySelectorAll('a, button, summary, [role=region], [role=img], nav, section')]
            .filter(of => !of.ariaLabel && !of.getAttribute('aria-labelledby') && !of.textContent.trim())
            .map(of => of.outerHTML)"""
    )
    assert nameless == []
    lost = six.page.evaluate(
        "() => [...document.querySelectorAll('[aria-labelledby]')]"
        ".filter(of => !document.getElementById(of.getAttribute('aria-labelledby'))).length"
    )
    assert lost == 0
    assert (
        six.page.locator("main").count() == six.page.locator("nav").count() == six.page.locator("footer").count() == 1
    )
