"""A comparison of two runs tells what changed."""

import dataclasses
from pathlib import Path

from components.report.page import write_comparison
from tests.report.drawn_facts import empty_facts, full_facts, refused_facts
from tests.report.page_reader import Read


def test_a_comparison_tells_what_changed(tmp_path: Path) -> None:
    before, after = full_facts(), full_facts()
    assert after.quality is not None
    assert after.provenance is not None
    assert after.data is not None
    worse = tuple(
        dataclasses.replace(of, recall=(of.recall or 0) - (0.1 if i == 2 else 0))
        for i, of in enumerate(after.quality.classes)
    )
    after = dataclasses.replace(
        after,
        run="2026-11-28T04-00-00",
        quality=dataclasses.replace(after.quality, classes=worse),
        data=dataclasses.replace(after.data, rows=45_000),
        provenance=dataclasses.replace(
            after.provenance, recipe="name: edgenet\nbalance:\n  cap: 800\n", data_digest="other"
        ),
    )
    file = tmp_path / "reports" / "comparison.html"
    write_comparison(before, after, file)
    page = Read(file.read_text(encoding="utf-8"))
    assert f"Points lost: {worse[2].name} −10.0." in page.text
    assert "- cap: 500" in page.text
    assert "+ cap: 800" in page.text
    assert "44,446 45,000 +554" in page.text
    assert "Different test splits." in page.text


def test_runs_without_quality_can_be_compared(tmp_path: Path) -> None:
    write_comparison(refused_facts(), empty_facts(), tmp_path / "c.html")
    page = Read((tmp_path / "c.html").read_text(encoding="utf-8"))
    assert "One of the runs was not evaluated." in page.text
    assert "Data refused" in page.text
