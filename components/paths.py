"""Paths as people are shown them."""

from pathlib import Path


def short(path: Path) -> str:
    """The path as seen from the working directory, if it lies below it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
