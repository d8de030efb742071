"""Builds the site of the docs into build/site, strictly: what is amiss ends it. Part of `make docs`.

The pages are the Markdown files as they lie in the checkout, so that a link works in both. Links to what the site does
not hold, such as a source file, become its path.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

HOUSE = Path(__file__).parents[1]
STAGE, SITE, DIAGRAMS = HOUSE / "build" / "docs", HOUSE / "build" / "site", HOUSE / "build" / "mermaid.min.js"
MERMAID = "mermaid@11.17.2"
PAGES = ("*.md", "docs/**/*.md", "docs/**/*.png", "docs/*.css", "benchmarks/README.md", "serving/deploy/**/README.md")
LINK = re.compile(r"^```.*?^```|`[^`\n]*`|(?<!!)\[([^\]]*)\]\(([^)\s]+)\)", re.MULTILINE | re.DOTALL)


def main() -> int:
    """Stages the pages, and has MkDocs build them; returns its exit code."""
    files = {path.relative_to(HOUSE) for pattern in PAGES for path in HOUSE.glob(pattern)}
    shutil.rmtree(STAGE, ignore_errors=True)
    for file in files:
        (STAGE / file).parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".md":
            text = (HOUSE / file).read_text(encoding="utf-8")
            (STAGE / file).write_text(LINK.sub(partial(within, page=file, files=files), text), encoding="utf-8")
        else:
            shutil.copyfile(HOUSE / file, STAGE / file)
    if not DIAGRAMS.exists() and shutil.which("npm"):
        with tempfile.TemporaryDirectory() as work:
            subprocess.run(["npm", "pack", "--silent", MERMAID], cwd=work, check=True, stdout=subprocess.DEVNULL)
            with tarfile.open(next(Path(work).glob("*.tgz"))) as packed, DIAGRAMS.open("wb") as file:
                shutil.copyfileobj(packed.extractfile("package/dist/mermaid.min.js"), file)
    if DIAGRAMS.exists():  # else a page asks unpkg.com for it
        shutil.copyfile(DIAGRAMS, STAGE / "docs" / DIAGRAMS.name)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--clean", "--site-dir", str(SITE)]
    # Material says at each build what its authors think of MkDocs' next major version.
    return subprocess.run(command, cwd=HOUSE, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}).returncode


def within(link: re.Match[str], page: Path, files: set[Path]) -> str:
    """The link, or its text and path where the site does not hold what it leads to."""
    text, target = link.groups()
    if not target:  # code
        return link[0]
    address = urlsplit(target)
    file = Path(os.path.normpath(page.parent / address.path))
    if address.scheme or not address.path or file in files or not (HOUSE / file).exists():
        return link[0]
    return text if text.strip("`/") == str(file) else f"{text} (`{file}`)"


if __name__ == "__main__":
    sys.exit(main())
