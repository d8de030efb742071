"""Where Beam's stages run: what a recipe may say of it, and what becomes of that."""

import subprocess
import sys

import pytest

from components.errors import RecipeError
from pipeline.beam import Beam, beam_args
from pipeline.recipe import load_recipe

IMAGE = "registry.example.com/fashion:1.4"
FLINK = {"flink_master": "flink:8081"}
EXTERNAL = {"job_endpoint": "jobs:8099", "environment_type": "EXTERNAL", "environment_config": "workers:50000"}


def test_without_a_word_everything_runs_here() -> None:
    assert beam_args(load_recipe("six_class").beam) == ["--runner=FnApiRunner", "--sdk_container_image=unused"]


@pytest.mark.parametrize(
    ("runner", "options", "args"),
    [
        ("flink", {**FLINK, "parallelism": 16},
         ["--runner=FlinkRunner", "--flink_master=flink:8081", "--parallelism=16"]),
        ("spark", {"job_endpoint": "spark:8099"}, ["--runner=SparkRunner", "--job_endpoint=spark:8099"]),
        ("dataflow", {"project": "p", "region": "r", "temp_location": "gs://t", "no_use_public_ips": True},
         ["--runner=DataflowRunner", "--project=p", "--region=r", "--temp_location=gs://t", "--no_use_public_ips"]),
        ("flink", {**FLINK, "experiments": ["a", "b"]},
         ["--runner=FlinkRunner", "--flink_master=flink:8081", "--experiments=a", "--experiments=b"]),
        ("flink", {**FLINK, "streaming": False}, ["--runner=FlinkRunner", "--flink_master=flink:8081"]),
    ],
)  # fmt: skip
def test_options_become_arguments_and_the_image_that_of_the_workers(runner, options, args) -> None:
    beam = Beam(runner=runner, options=options).with_image(IMAGE)
    assert beam_args(beam) == [*args, f"--sdk_container_image={IMAGE}"]


def test_an_image_that_the_recipe_names_stays() -> None:
    own = Beam(runner="flink", options={**FLINK, "sdk_container_image": "own:1"})
    assert own.with_image(IMAGE) == own


@pytest.mark.parametrize("beam", [Beam(), Beam(runner="portable", options=EXTERNAL)])
def test_workers_that_are_no_containers_get_no_image(beam: Beam) -> None:
    assert "--sdk_container_image=unused" in beam_args(beam.with_image(IMAGE))


def test_workers_in_containers_need_an_image() -> None:
    with pytest.raises(RecipeError, match=r"beam\.options\.sdk_container_image: the workers of flink are containers"):
        beam_args(Beam(runner="flink", options=FLINK))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{runner: flnk}", "beam.runner: 'flnk' should be 'local', 'flink', 'spark', 'dataflow' or 'portable'"),
        (
            "{options: {paralelism: 4}}",
            "beam.options: paralelism: Beam has no such option; did you mean 'parallelism'?",
        ),
        ("{options: {runner: FlinkRunner}}", "beam.options: runner: say it as beam.runner"),
        ("{options: {parallelism: {a: 1}}}", "beam.options: parallelism: is a mapping; give a text, a number"),
        ("{runner: flink}", "beam: runner flink needs options.flink_master or options.job_endpoint"),
        ("{runner: dataflow, options: {project: p}}", "beam: runner dataflow needs options.region"),
        ("{runner: portable}", "beam: runner portable needs options.job_endpoint"),
        ("{options: {s3_secret_access_key: x}}", "beam.options: s3_secret_access_key: a recipe is published together"),
        ("{options: {azure_connection_string: x}}", "beam.options: azure_connection_string: a recipe is published"),
        (
            "{options: {maven_repository_url: 'https://me:secret@maven'}}",
            "beam.options: maven_repository_url: a recipe",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name(given: str, said: str) -> None:
    with pytest.raises(RecipeError) as refused:
        load_recipe("six_class", [f"beam={given}"])
    assert str(refused.value).startswith(f"six_class.yaml: {said}")
    assert "\n" not in str(refused.value)


def test_a_secret_is_not_repeated() -> None:
    with pytest.raises(RecipeError) as refused:
        load_recipe("six_class", ["beam={options: {s3_session_token: hunter2}}"])
    assert "hunter2" not in str(refused.value)


def test_options_are_checked_without_importing_beam() -> None:
    code = "import sys; from pipeline.beam import Beam; Beam(options={'parallelism': 2}); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"apache_beam", "tensorflow", "tfx"} & set(loaded)
