"""What a run says at its end of the version that it published."""

import io

import pytest
from rich.console import Console

from components.export.copies import HEAD, read_copies, rows, write_copies
from components.index.summary import write_summary
from pipeline.runs import Artifact, StageRun
from pipeline.summary import _published, describe, ingested, table_of
from serving.config_file import CONFIG
from tests.report.drawn_facts import INDEX, copies


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (None, ()),
        ('name: "six_class" base_path: "/models/six_class"', ()),
        (
            'name: "six_class" base_path: "/models/six_class" '
            'model_version_policy { specific { versions: 1 } } version_labels { key: "stable" value: 1 }',
            ("version 1 serves, as models.config has it, until you give:", "  fashion models promote six_class 2"),
        ),
        (
            'name: "other" base_path: "/models/other"',
            ("no version serves, as models.config has it, until you give:", "  fashion models promote six_class 2"),
        ),
    ],
    ids=["no config", "the highest", "another is stable", "not in the config"],
)
def test_published_version_that_does_not_serve_is_told_with_the_command_that_changes_it(tmp_path, config, said):
    store = tmp_path / "six_class"
    for version in (1, 2):
        (store / str(version)).mkdir(parents=True)
    if config:
        (tmp_path / CONFIG).write_text(f"model_config_list {{ config {{ {config} }} }}")
    console = Console(file=io.StringIO(), width=200)
    pushed = Artifact(1, "PushedModel", "", {"pushed": 1, "pushed_version": "2"})
    assert _published(console, pushed, store, {1}) is None
    first, *rest = console.file.getvalue().splitlines()[:-1]
    assert (first, tuple(rest)) == ("published as version 2", said)


def test_copies_are_told_with_their_figures_and_why_one_is_refused(tmp_path):
    write_copies(tmp_path, copies("shoes"))
    console = Console(file=io.StringIO(), width=100)
    console.print(table_of(HEAD, rows(read_copies(tmp_path))))
    *_, fine, poor = console.file.getvalue().splitlines()
    assert " ".join(fine.split()) == "onnx 13.5 99.40 % shoes 97.1 % shoes 0.4 points 99.96 % 0.9991"
    assert poor.startswith("litert-int8, refused")
    stage = StageRun("export", "complete", outputs={"copies": [Artifact(1, "ModelCopies", str(tmp_path), {})]})
    assert describe(stage, None) == "onnx; refused litert-int8: recall of <shoes> falls"


def test_index_is_told_with_how_it_is_searched(tmp_path):
    write_summary(tmp_path, INDEX)
    stage = StageRun("index", "complete", outputs={"index": [Artifact(1, "ProductIndex", str(tmp_path), {})]})
    assert describe(stage, None) == (
        "version 1795237901, 39,874 products, 5 left out, searched so that 99.4 % of the ten nearest are found"
    )
    (tmp_path / "summary.json").unlink()
    assert describe(stage, None) == "no model serves"


def test_what_is_passed_over_at_ingest_is_told_beside_what_is_left_out() -> None:
    summary = {"examples": {"train": 50, "test": 7}, "classes": {"a": {}, "b": {}}, "unmapped": {"Belts": 2}}
    summary |= {"quarantined": {"no picture": 1}, "variant_rows": 180, "total_rows": 0, "further_pictures": 3}
    assert ingested(summary) == (
        "57 products in 2 classes, 2 outside, 1 quarantined, 180 variant rows, 3 further pictures"
    )
    summary["outside"] = {"kinds": {"Belts": {}, "Ties": {}, "Hats": {}}, "unseen": ["Ties", "Wigs"], "left": 1200}
    assert "2 outside (2 kinds shown, 1 unseen, 1,200 rows left), 1 quarantined" in ingested(summary)
