"""Copies the model that a run has published to other formats; TFX has no component for that."""

import logging
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.components.base.base_node import BaseNode
from tfx.types import BaseChannel
from tfx.types.standard_artifacts import Examples, PushedModel

from components.artifacts import ModelCopies
from components.digest import code_digest
from components.export.copies import write_copies
from components.export.settings import Export, copies_of
from components.publish.store import versions


def export_node(store: Path, settings: Export, pushed_model: BaseChannel, examples: BaseChannel) -> BaseNode:
    """Makes the graph's node `export`, see `Exporter`; `store` is the model's, `<serving_dir>/<name>`."""
    return Exporter(
        pushed_model=pushed_model,
        examples=examples,
        store=str(store),
        settings=settings.as_json(),
        code=code_digest(__name__),
    ).with_id("export")


@component
def Exporter(
    pushed_model: InputArtifact[PushedModel],
    examples: InputArtifact[Examples],
    copies: OutputArtifact[ModelCopies],
    store: Parameter[str],
    settings: Parameter[str],
    code: Parameter[str] = "",
) -> None:
    """Publishes copies of the version that was published; none where nothing was.

    A copy that is refused does not fail the run: the model itself serves.

    Args:
        pushed_model: the publisher's.
        examples: ingest's, of this run.
        copies: `copies.json`, see `components.export.copies`.
        store: `<serving_dir>/<name>`.
        settings: JSON of `components.export.settings.Export`.
        code: digest of the sources that matter here, for the cache.

    Raises:
        ExportError: a converter failed.
        PublishError: the folder of copies cannot be written.
    """
    from components.export.job import export  # which no run needs whose model is refused

    version = pushed_model.get_string_custom_property("pushed_version")
    folder = versions(Path(store)).get(int(version)) if version else None
    if folder is None:
        logging.warning("nothing of %s was published, so nothing is copied", store)
        write_copies(Path(copies.uri), ())
        return
    done = export(folder, Path(examples.uri), Export.model_validate_json(settings), copies_of(Path(store)))
    write_copies(Path(copies.uri), done)
