"""Two first runs at once: each finds the drawn catalogue, whichever of them was quicker, and the same database."""

import io
import multiprocessing
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console

from components.errors import CatalogueError, MetadataError
from pipeline import run
from pipeline.metadata import check
from pipeline.synthetic import catalogue
from pipeline.view import RunView


def drawn(folder: Path) -> str:
    with RunView(Console(file=io.StringIO())) as view, run._drawing(folder, view) as said:
        return said


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch):
    """Has something happen once a run has begun to draw, and before its catalogue is in its place."""

    def arrange(event) -> None:
        write = catalogue._write

        def slow(*arguments):
            summary = write(*arguments)
            monkeypatch.setattr(catalogue, "_write", write)
            event()
            return summary

        monkeypatch.setattr(run, "EMBEDDED_PRODUCTS", 20)
        monkeypatch.setattr(catalogue, "_write", slow)

    return arrange


def test_two_first_runs_at_once_share_the_catalogue_that_one_of_them_has_drawn(tmp_path: Path, meanwhile) -> None:
    folder = tmp_path / "catalogue"
    meanwhile(lambda: drawn(folder))
    assert drawn(folder) == ", 20 products are drawn"
    assert len((folder / "styles.csv").read_text().splitlines()) == 21
    assert [path.name for path in tmp_path.iterdir()] == ["catalogue"]


def test_a_catalogue_that_cannot_be_drawn_is_an_error_all_the_same(tmp_path: Path, meanwhile) -> None:
    (tmp_path / "file").write_text("")
    meanwhile(lambda: None)
    with pytest.raises(CatalogueError, match="cannot be written"):
        drawn(tmp_path / "file" / "catalogue")


def checked(url: str, both: "threading.Barrier", queue: "multiprocessing.Queue[str]") -> None:
    from ml_metadata.metadata_store import metadata_store  # noqa: F401 - takes longer than the rest

    both.wait()
    try:
        check(url)
    except MetadataError as error:
        queue.put(str(error))
    else:
        queue.put("")


def test_two_first_runs_at_once_make_one_database(tmp_path: Path) -> None:
    file, context = tmp_path / "metadata.sqlite", multiprocessing.get_context("spawn")
    queue, both = context.Queue(), context.Barrier(2)
    runs = [context.Process(target=checked, args=(f"sqlite:///{file}", both, queue)) for _ in range(2)]
    for process in runs:
        process.start()
    assert [queue.get(timeout=60) for _ in runs] == ["", ""]
    for process in runs:
        process.join()
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("select count(*) from MLMDEnv").fetchone() == (1,)
