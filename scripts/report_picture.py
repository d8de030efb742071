"""Takes the picture of a report that the README shows: its verdict, and some products with their answers.

    python scripts/report_picture.py runs/reports/RUN/index.html docs/report.png

The run has to be one on the drawn catalogue, so that no one else's photographs are published with it.
"""

import argparse
import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

WIDTH = 1280
# From the top of one element to the bottom of another; these parts are put one below the other.
SHOWN = (("body", "#verdict .beside"), ("#edge", "#edge .card"))
AIR = 12  # pixels above and below each
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main() -> None:
    """Reads the arguments and writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path, help="of a report")
    parser.add_argument("picture", type=Path, help="PNG to write")
    arguments = parser.parse_args()
    if not arguments.page.is_file():
        sys.exit(f"{arguments.page}: there is no such page. Write it with `fashion report`.")
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"none of {', '.join(BROWSERS)} is installed; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        # Chromium's own sandbox needs rights that containers do not give; the page is ours and asks for nothing.
        opened = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = opened.new_page(viewport={"width": WIDTH, "height": 900}, color_scheme="light")
        page.goto(arguments.page.absolute().as_uri())
        # The bar would lie over what is scrolled to; what is folded says nothing.
        page.add_style_tag(content="header.bar { position: static !important; } #verdict > details { display: none; }")
        parts = [_taken(page, first, last) for first, last in SHOWN if page.locator(last).count()]
        opened.close()
    arguments.picture.parent.mkdir(parents=True, exist_ok=True)
    _stacked(parts).quantize(256).save(arguments.picture, optimize=True)


def _taken(page: Page, first: str, last: str) -> Image.Image:
    place = "of => [scrollY + of.getBoundingClientRect().top, scrollY + of.getBoundingClientRect().bottom]"
    top = max(0.0, page.locator(first).evaluate(place)[0] - AIR)
    bottom = page.locator(last).first.evaluate(place)[1] + AIR
    taken = page.screenshot(full_page=True, clip={"x": 0, "y": top, "width": WIDTH, "height": bottom - top})
    return Image.open(io.BytesIO(taken))


def _stacked(parts: list[Image.Image]) -> Image.Image:
    whole = Image.new("RGB", (WIDTH, sum(part.height for part in parts)))
    top = 0
    for part in parts:
        whole.paste(part, (0, top))
        top += part.height
    return whole


if __name__ == "__main__":
    main()
