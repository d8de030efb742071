"""The review page as a browser shows it: decided by keyboard, kept, exported as the pipeline takes it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from components.audit.review import write_review
from components.ingest.corrections import Correction, read_corrections
from tests.audit.drawn_audit import CLASSES, HOSTILE, drawn_audit
from tests.report.test_browser import DESK, PHONE, Opened, browser, opened, pytestmark  # noqa: F401

MANY = 2000


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_review(drawn_audit(), tmp_path_factory.mktemp("review"))


@pytest.fixture
def desk(browser: object, page: Path) -> Iterator[Opened]:  # noqa: F811
    yield from opened(browser, page, DESK)


def shown(desk: Opened) -> str:
    return desk.page.locator("#card .muted").first.inner_text().split(" · ")[0]


def export(desk: Opened, folder: Path) -> list[Correction]:
    with desk.page.expect_download() as download:
        desk.page.locator("#export").click()
    file = folder / download.value.suggested_filename
    download.value.save_as(file)
    assert file.name == "corrections.csv"
    return read_corrections(file)


def test_decisions_by_keyboard_survive_a_reload_and_their_file_is_what_the_pipeline_takes(
    desk: Opened, tmp_path: Path
) -> None:
    desk.page.locator("#by").fill("Ann, buyer")
    desk.page.locator("#card").focus()
    ids = []
    for key in ("t", "k", "Enter", "n", "t"):
        ids.append(shown(desk))
        desk.page.keyboard.press(key)
    desk.page.keyboard.press("u")
    assert shown(desk) == ids.pop()
    desk.page.keyboard.press("c")
    desk.page.locator("#other").select_option(CLASSES[2])
    ids.append(shown(desk))
    desk.page.keyboard.press("Enter")
    desk.page.reload()
    assert desk.page.locator("#count").inner_text() == "5 of 12 decided"
    assert shown(desk) not in ids
    corrections = {each.id: each for each in export(desk, tmp_path)}
    assert [corrections[each].new for each in ids] == ["Heels", "Flats", "Heels", "none", "Röcke"]
    assert {each.old for each in corrections.values()} == {"Flats"}
    assert {each.by for each in corrections.values()} == {"Ann, buyer"}
    assert all(each.when.startswith("20") for each in corrections.values())
    assert desk.complaints == []


def test_every_undo_takes_back_one_decision(desk: Opened, tmp_path: Path) -> None:
    first = shown(desk)
    for key in ("t", "k", "u", "u", "u"):
        desk.page.keyboard.press(key)
    assert shown(desk) == first
    assert export(desk, tmp_path) == []


def test_keys_leave_fields_alone(desk: Opened) -> None:
    desk.page.locator("#by").press_sequentially("kntcu")
    assert desk.page.locator("#by").input_value() == "kntcu"
    assert desk.page.locator("#count").inner_text() == "0 of 12 decided"


def test_text_from_the_data_stays_text_and_nothing_leaves_the_page(desk: Opened, page: Path, tmp_path: Path) -> None:
    assert desk.page.locator("#card .name").inner_text() == HOSTILE
    desk.page.get_by_role("button", name="Röcke → <b>Shoes</b>").click()
    assert "<b>Shoes</b>" in desk.page.locator("#card .change").inner_text()
    assert desk.page.locator("script").count() == 4
    desk.page.get_by_role("button", name="Flats → not a product").click()
    desk.page.keyboard.press("n")
    assert [(each.id, each.new) for each in export(desk, tmp_path)] == [("=1+1", "none")]
    assert "\n'=1+1,Flats,none," in (tmp_path / "corrections.csv").read_text(encoding="utf-8")
    assert desk.complaints == []
    asked = [url for url in desk.requests if not url.startswith(("data:", "blob:"))]
    assert asked == [page.as_uri()]


def test_all_can_be_decided_by_mouse_and_the_page_says_so(desk: Opened) -> None:
    for _ in range(12):
        desk.page.locator("#card .take").click()
    assert desk.page.locator("#count").inner_text() == "12 of 12 decided"
    assert desk.page.locator("#decided").inner_text().startswith("→")


@pytest.mark.parametrize(("size", "scheme"), [(DESK, "dark"), (PHONE, "light")])
def test_it_fits_its_window_and_every_control_has_a_name(
    browser: object, page: Path, size: dict[str, int], scheme: str  # noqa: F811
) -> None:  # fmt: skip
    for each in opened(browser, page, size, scheme):
        assert each.page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        nameless = each.page.evaluate(
            """() => [...document.querySelectorAll('a, button, select, input, nav, progress, section, img')]
                .filter(node => !node.ariaLabel && !node.getAttribute('aria-labelledby') && !node.alt
                    && !node.textContent.trim() && !node.closest('label') && !node.querySelector('img[alt]'))
                .map(node => node.outerHTML)"""
        )
        assert nameless == []
        assert each.complaints == []


def test_two_thousand_suspects_answer_each_key_at_once(browser: object, tmp_path: Path) -> None:  # noqa: F811
    for each in opened(browser, write_review(drawn_audit(MANY), tmp_path)):
        took = each.page.evaluate(
            """() => {
                const began = performance.now();
                for (let step = 0; step < 50; step += 1)
                    document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "t", bubbles: true }));
                return (performance.now() - began) / 50;
            }"""
        )
        assert each.page.locator("#count").inner_text() == "50 of 2,000 decided"
        assert took < 500  # milliseconds; a few on an idle machine
