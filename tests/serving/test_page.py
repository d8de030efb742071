"""The server's page in a browser: it shows what programs are answered, and text from outside stays text."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import urllib3

from components.index.settings import Index as Settings
from serving.server.config import Options
from serving.server.limits import Limits
from serving.server.page import content_and_headers
from tests.contract.asking import Rest, b64
from tests.contract.conftest import drawn
from tests.contract.endpoint import Endpoint, ServerProcess, running
from tests.data.faults import draw, encode
from tests.index.small import make
from tests.serving.serving_model import LABELS, write_model

CHROMIUM = shutil.which("chromium")
HOSTILE = "<script>document.title='taken'</script>"
COLOURS = np.array([[255, 0, 0], [200, 40, 0], [0, 0, 255]], np.float32)


def test_page_holds_all_it_needs_and_its_policy_lets_nothing_else_in():
    content, headers = content_and_headers()
    assert re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?!data:)\w""", content.partition("<script>")[0]) == []
    assert "http:" not in content
    assert "https:" not in content
    assert "style=" not in content  # the policy would drop it
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert (policy["default-src"], policy["connect-src"], policy["frame-ancestors"]) == ("'none'", "'self'", "'none'")
    assert policy["script-src"].startswith("'sha256-")
    assert "unsafe" not in str(policy)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models. One decides, explains, has an index, and was trained on a class that is named like a script."""
    folder = tmp_path_factory.mktemp("page") / "serving"
    write_model(folder / "plain" / "1", explains=False)
    model = write_model(folder / "shop" / "1", (HOSTILE, *LABELS[1:]), bias=1000, decides=True)
    (model / "assets.extra" / "provenance.json").write_text(json.dumps({"digest": "d1" * 32}))
    settings = Settings(colour=0.0, duplicate=0.999)
    make(folder.parent / "indexes" / "shop" / "7", COLOURS, settings, name=[HOSTILE, "b", None], year=[1, 2, 3])
    return folder


@pytest.mark.slow
def test_server_without_the_page_answers_404_at_its_root(base):
    with running(base, Limits(), Options(poll_seconds=0)) as endpoint:
        assert [urllib3.request("GET", endpoint.rest + path).status for path in ("/", "/models")] == [404, 404]


@pytest.fixture(scope="module")
def endpoint(base: Path) -> Iterator[Endpoint]:
    server = ServerProcess("--model-base", base)
    yield Endpoint(server.rest, server.grpc, "shop")
    assert server.end() == 0, server.log()


@pytest.fixture
def page(endpoint: Endpoint) -> Iterator[Any]:
    """The page on a phone, with what it complained of and asked for."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make install")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with playwright.sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": 360, "height": 740}).new_page()
        page.set_default_timeout(90_000)
        page.complaints, page.asked = [], []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(endpoint.rest + "/")
        page.locator("#about:not(:empty)").wait_for()
        yield page
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert all(url.startswith((endpoint.rest, "blob:", "data:")) for url in page.asked)
        browser.close()


@pytest.mark.slow
def test_picture_is_answered_and_searched_as_programs_are(page, endpoint):
    page.select_option("#model", "shop")
    page.set_input_files("#file", {"name": f"{HOSTILE}.jpg", "mimeType": "image/jpeg", "buffer": drawn(2)})
    page.locator("#label").wait_for()
    rest = Rest(endpoint)
    answer = rest.post({"instances": [b64(drawn(2))]})[1]["predictions"][0]
    assert page.locator("#label").inner_text() == answer["label"] == HOSTILE
    assert page.locator("#rows td").first.inner_text() == f"{100 * answer['confidence']:.1f} %"
    assert page.locator("#decision").inner_text() != ""
    heat = rest.post({"inputs": [b64(drawn(2))], "signature_name": "explain"})[1]["outputs"]["heat"][0]
    assert page.locator("#map").is_visible()
    pixels = "map => [...map.getContext('2d').getImageData(0, 0, map.width, map.height).data]"
    strength = np.reshape(page.locator("#map").evaluate(pixels), (*np.shape(heat), 4))[..., 3]
    share = np.maximum(heat, 0) / max(np.max(heat), 1e-9)
    assert np.abs(strength - 255 * 0.55 * (0.35 + 0.65 * share)).max() <= 1
    page.uncheck("#hot")
    assert page.locator("#map").is_hidden()
    body = json.dumps({"image_bytes": [b64(drawn(2))]}).encode()
    found = rest.send("POST", rest.path(end=":search"), body)[1]["matches"]
    page.locator("#matches li").nth(len(found) - 1).wait_for()
    assert page.locator("#matches strong").all_inner_texts() == [match["id"] for match in found]
    page.fill("#where", "year > 1")
    page.get_by_label("More like p0").press("Enter")
    page.get_by_text("2 found").wait_for()
    assert page.locator("#matches strong").all_inner_texts() == ["p1", "p2"]
    page.fill("#where", "name like '<script>%'")
    page.fill("#ids", "p1")
    page.locator("#where").press("Enter")
    page.get_by_text("1 found").wait_for()
    assert page.locator("#matches p").first.inner_text() == f"{HOSTILE} · 1"
    assert page.title() == "What is in this picture?"
    assert page.complaints == []


@pytest.mark.slow
def test_errors_are_shown_as_text_and_other_formats_are_sent_as_jpeg(page):
    page.select_option("#model", "plain")
    assert page.locator("#about").inner_text() == "version 1 · no index: fashion index makes one"
    assert page.locator("#search").is_hidden()
    page.set_input_files("#camera", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": b"no picture"})
    page.locator("#state[data-state=wrong]:not(:empty)").wait_for()
    page.set_input_files("#file", {"name": "a.tiff", "mimeType": "image/tiff", "buffer": b"no picture"})
    page.get_by_text("a.tiff is not a picture that this browser can read").wait_for()
    page.set_input_files("#file", {"name": "a.webp", "mimeType": "image/webp", "buffer": encode(draw(), "WEBP")})
    page.locator("#label").wait_for()
    assert page.locator("#map, #heat").evaluate_all("all => all.map(part => part.checkVisibility())") == [False, False]
    page.select_option("#model", "shop")
    page.fill("#where", "nme = 'b'")
    page.locator("#where").press("Enter")
    page.get_by_text("did you mean 'name'").wait_for()
    assert page.locator("#matches li").count() == 0
