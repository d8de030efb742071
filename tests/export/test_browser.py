"""The page of a bundle in a browser: it answers as Python does, and asks nobody else."""

import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fashion_client.local import local

from components.errors import ExportError
from components.export.browser import add_page
from tests.export.drawn import write_drawn

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make install")

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium"),
    pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed"),
]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = write_drawn(tmp_path_factory.mktemp("web") / "bundle")
    try:
        add_page(folder)
    except ExportError as error:
        if "cannot fetch" in str(error):
            pytest.skip(str(error))
        raise
    return folder


def served(folder: Path) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture
def opened(request, bundle, tmp_path):
    """A page of the bundle, on a phone, with what it complained of and asked for."""
    folder = bundle
    if change := getattr(request, "param", None):
        folder = shutil.copytree(bundle, tmp_path / "changed")
        change(folder)
    server = served(folder)
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
        page.complaints, page.asked = [], []
        page.on("console", lambda message: page.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda asked: page.asked.append(asked.url))
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        page.wait_for_selector("#state:not([data-state=loading])")
        yield page
        browser.close()
    server.shutdown()


def answers(page, count: int) -> list[dict[str, str]]:
    page.locator("#answers li:is([data-label], [data-error])").nth(count - 1).wait_for()
    items = page.locator("#answers li").evaluate_all("all => all.map(item => ({...item.dataset}))")
    return items[::-1]  # the newest stands first


def test_the_page_answers_as_python_does_and_asks_nobody_else(opened, bundle):
    assert opened.locator("#state").inner_text() == "4 classes. All 16 golden pictures are answered as by the model."
    opened.set_input_files("#files", sorted(map(str, bundle.glob("golden/??.jpg"))))
    pictures = [path.read_bytes() for path in sorted(bundle.glob("golden/??.jpg"))]
    found = answers(opened, len(pictures))
    for wanted, answer in zip(local(bundle).predict(pictures), found, strict=True):
        assert (answer["label"], answer["decision"]) == (wanted.label, wanted.decision)
        assert float(answer["probability"]) == pytest.approx(wanted.confidence, abs=0.02)
    assert all(url.startswith((opened.url, "blob:", "data:")) for url in opened.asked)
    assert opened.complaints == []
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_page_cannot_send_a_picture_anywhere(opened):
    refused = "fetch('https://example.org/', {method: 'POST', body: 'x'}).then(() => 'sent', error => 'refused')"
    assert opened.evaluate(refused) == "refused"
    assert not any("example.org" in url for url in opened.asked)


def test_the_page_opens_without_a_network_once_it_was_open(opened, bundle):
    opened.locator("html[data-kept]").wait_for()
    opened.context.set_offline(True)
    opened.reload()
    opened.locator("#state[data-state=ready]").wait_for()
    assert opened.evaluate("crossOriginIsolated")  # so that several threads may calculate
    opened.set_input_files("#files", str(bundle / "golden" / "00.jpg"))
    assert "label" in answers(opened, 1)[0]


def test_what_is_no_picture_is_said_to_be_none(opened, tmp_path):
    (tmp_path / "a.jpg").write_text("no picture")
    opened.set_input_files("#files", str(tmp_path / "a.jpg"))
    assert "error" in answers(opened, 1)[0]


def swap_labels(folder: Path) -> None:
    first, second, *rest = (folder / "labels.txt").read_text().splitlines()
    (folder / "labels.txt").write_text("\n".join([second, first, *rest, ""]))


def exchange_colours(folder: Path) -> None:
    write_drawn(folder.with_name("other"), channels=(2, 1, 0))
    shutil.copyfile(folder.with_name("other") / "model.onnx", folder / "model.onnx")


@pytest.mark.parametrize("opened", [swap_labels, exchange_colours], indirect=True)
def test_a_wrong_copy_says_that_it_is_not_to_be_trusted(opened):
    assert (
        opened.locator("#state").inner_text().startswith("Do not trust the answers: 00.jpg: the file answers otherwise")
    )
