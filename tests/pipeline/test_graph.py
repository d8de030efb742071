"""The graph as it is named: what shares a name shares its cache and its baselines."""

from pathlib import Path

import pytest

from pipeline.paths import Paths
from pipeline.recipe import load_recipe


@pytest.mark.slow
def test_models_are_compared_where_classes_and_split_are_the_same_and_only_there(tmp_path):
    from pipeline.graph import create_pipeline

    def name(*overrides: str) -> str:
        paths = Paths(Path("nowhere"), tmp_path)
        return create_pipeline(load_recipe("six_class", [*overrides]), paths, []).pipeline_info.pipeline_name

    few = tmp_path / "few.yaml"
    few.write_text("classes: [a, b]\nrules: [{class: a, articleType: [x]}, {class: b, articleType: [y]}]\n")
    same = {name(), name("train.seed=2"), name("picture.size=96"), name("gate.recall=0.5")}
    assert len(same) == 1
    assert {each.rpartition("-")[0] for each in same} == {"six_class"}
    others = name("split.by=year"), name("split={train: 70, eval: 10, test: 20}"), name(f"labels.taxonomy={few}")
    assert len({*same, *others}) == 4
