"""What is computed again, and what is not, when code, packages or settings change."""

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from components import digest
from components.digest import code_digest, imports_of

STAGE = '''"""A stage."""
import numpy

from components import core


def run():
    from components.late import late

    return late(core.LIMIT)
'''
CORE = """from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.other import Type

LIMIT = 3
"""
SOURCES = {
    "components/__init__.py": "",
    "components/stage.py": STAGE,
    "components/core.py": CORE,
    "components/late.py": "def late(limit):\n    return {1, 2} if limit in {'a', 'b'} else limit\n",
    "components/other.py": "class Type:\n    pass\n",
}


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in SOURCES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(digest, "_ROOT", tmp_path)
    return tmp_path


def key() -> str:
    digest._code.cache_clear()
    digest._imported.cache_clear()
    return code_digest("components.stage")


@pytest.mark.parametrize(
    ("name", "old", "new", "anew"),
    [
        ("stage.py", "    return", "    # why\n    return", False),
        ("stage.py", "A stage.", "The stage.", False),
        ("stage.py", "\n\ndef run", "\n\n\n\ndef run", False),
        ("stage.py", "core.LIMIT)", "core.LIMIT + 1)", True),
        ("core.py", "LIMIT = 3", "LIMIT = 4", True),
        ("late.py", "else limit", "else -limit", True),
        ("late.py", "'b'", "'c'", True),
        ("other.py", "pass", "x = 1", False),
    ],
    ids=[
        "comment",
        "docstring",
        "blank lines",
        "own code",
        "constant of an import",
        "late import",
        "set",
        "type alone",
    ],
)
def test_a_stage_is_keyed_by_the_code_that_it_runs_and_by_nothing_else(
    house: Path, name: str, old: str, new: str, anew: bool
) -> None:
    before, file = key(), house / "components" / name
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    assert (key() != before) is anew


def test_a_stage_is_keyed_by_the_versions_of_packages_that_compute_for_it(house: Path, monkeypatch) -> None:
    before = key()
    for package, anew in (("numpy", True), ("tensorflow", False)):
        monkeypatch.setattr(digest, "version", lambda name, package=package: "99" if name == package else real(name))
        assert (key() != before) is anew, package


real = digest.version


def test_the_key_is_the_same_in_every_process(house: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys, pathlib; from components import digest; digest._ROOT = pathlib.Path(sys.argv[1]); "
        "print(digest.code_digest('components.stage'))"
    )
    keys = {
        subprocess.run(
            [sys.executable, "-c", code, house], env={"PYTHONHASHSEED": seed}, cwd=Path(__file__).parents[2],
            capture_output=True, text=True, check=True,
        ).stdout.strip()
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert keys == {key()}


@pytest.mark.parametrize(
    ("module", "has", "lacks"),
    [
        ("components.ingest.component", {"serving.decode", "components.ingest.picture"}, {"components.train.fit"}),
        ("components.train.trainer", {"components.networks.b0", "serving.signatures"}, {"components.ingest.chunks"}),
        ("components.validate.component", {"components.validate.gate"}, {"components.ingest.picture"}),
    ],
)
def test_the_projects_own_stages_reach_what_decides_their_results(module: str, has: set[str], lacks: set[str]) -> None:
    ours, _ = imports_of([module])
    assert has <= ours.keys()
    assert not lacks & ours.keys()


def test_a_build_of_tensorflow_for_the_cpu_alone_has_the_same_key(monkeypatch) -> None:
    before = digest.code_digest("components.train.trainer")

    def installed(name: str) -> str:
        if name == "tensorflow":
            raise PackageNotFoundError(name)
        return real(name.removesuffix("-cpu"))

    monkeypatch.setattr(digest, "version", installed)
    assert digest.code_digest("components.train.trainer") == before
