"""What a run says at its end of the version that it published."""

import io

import pytest
from rich.console import Console

from pipeline.runs import Artifact
from pipeline.summary import _published, ingested
from serving.config_file import CONFIG


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


def test_what_is_passed_over_at_ingest_is_told_beside_what_is_left_out() -> None:
    summary = {"examples": {"train": 50, "test": 7}, "classes": {"a": {}, "b": {}}, "unmapped": {"Belts": 2}}
    summary |= {"quarantined": {"no picture": 1}, "variant_rows": 180, "total_rows": 0, "further_pictures": 3}
    assert ingested(summary) == (
        "57 products in 2 classes, 2 outside, 1 quarantined, 180 variant rows, 3 further pictures"
    )
    summary["outside"] = {"kinds": {"Belts": {}, "Ties": {}, "Hats": {}}, "unseen": ["Ties", "Wigs"], "left": 1200}
    assert "2 outside (2 kinds shown, 1 unseen, 1,200 rows left), 1 quarantined" in ingested(summary)
