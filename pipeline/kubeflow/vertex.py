"""The graph as a package for Vertex AI, by TFX's own runner: a by-product, as far as that runner goes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.errors import RecipeError
from pipeline.experiment import unread_experiment
from pipeline.kubeflow.compiler import check_image
from pipeline.paths import Paths
from pipeline.recipe import Recipe
from pipeline.view import quiet

_GCS = "/gcs/"  # where Vertex AI mounts Cloud Storage

_LEFT_OUT = (
    "the comparison with another model than the candidate itself: the baseline is the latest blessed model, whichever",
    "the failing end: a refused model is not published, and the run is green all the same; there is no task `verdict`",
    "the shared metadata database and TFX's cache: Vertex AI keeps its own metadata, and every stage runs every time",
    "what the recipe asks for under `kubeflow`: cpu, memory, accelerators and retries are Vertex AI's defaults",
    "file access by address: stages get gs:// addresses, and ingest, gate, train, infra and publish open files",
)


def compile_for_vertex(recipe: Recipe, image: str, out: Path, data: str | None, root: str | None) -> tuple[str, ...]:
    """Writes a package for Vertex AI, .yaml or .json, of a recipe whose classes come from a taxonomy.

    The catalogue and the root of all that is written lie below /gcs/.

    Returns:
        What the package leaves out of the pipeline, a sentence each.

    Raises:
        RecipeError: what is asked for cannot be.
    """
    check_image(image)
    for option, path in (("--data", data), ("--root", root)):
        if path is None or not path.startswith(_GCS):
            raise RecipeError(f"{option} {path}: Vertex AI mounts buckets at {_GCS}; give {_GCS}BUCKET/FOLDER")
    if recipe.labels.taxonomy is None or recipe.labels.columns:
        raise RecipeError("labels.column: the classes are read from the catalogue, which is not here; give a taxonomy")
    with quiet(Path(os.devnull)):  # TensorFlow has much to say at its import
        from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner as runner

        config = runner.KubeflowV2DagRunnerConfig(default_image=image, display_name=recipe.name)
        pipeline = _adapted(recipe.with_image(image), Paths(Path(str(data)), Path(str(root))))
        with _legal_names(pipeline):
            runner.KubeflowV2DagRunner(config, str(out.absolute().parent), out.name).run(pipeline)
    return _LEFT_OUT


@contextmanager
def _legal_names(pipeline: Any) -> Iterator[None]:
    """Gives our own types of artifacts names with a namespace, which the runner insists on."""
    types = {channel.type for node in pipeline.components for channel in node.outputs.values()}
    ours = {kind: kind.TYPE_NAME for kind in types if not kind.__module__.startswith("tfx.")}
    for kind, name in ours.items():
        kind.TYPE_NAME = f"fashion.{name}"
    try:
        yield
    finally:
        for kind, name in ours.items():
            kind.TYPE_NAME = name


def _adapted(recipe: Recipe, paths: Paths) -> Any:
    """The pipeline without what the runner refuses."""
    import tfx.v1 as tfx

    from pipeline.graph import create_pipeline

    pipeline = create_pipeline(unread_experiment(recipe, paths))
    pipeline.pipeline_info.pipeline_name = pipeline.pipeline_info.pipeline_name.replace("_", "-")
    pipeline.pipeline_info.pipeline_root = f"gs://{str(paths.artifacts).removeprefix(_GCS)}"
    pipeline.enable_cache = False  # the runner cannot see that a catalogue changed
    latest = tfx.dsl.experimental.LatestBlessedModelStrategy
    for node in pipeline.components:
        # The runner knows TFX's two strategies, with exactly their inputs, and a node has no other way to be changed.
        if isinstance(node, tfx.dsl.Resolver) and issubclass(node._strategy_class, latest):
            node._strategy_class = latest
            for channels in (node._raw_inputs, node._input_dict, node._output_dict):
                for name in set(channels) - {"model", "model_blessing"}:
                    del channels[name]
    return pipeline
