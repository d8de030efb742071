"""Makes the catalogue searchable with the model that serves; TFX has no component for that."""

import json
import logging
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.components.base.base_node import BaseNode
from tfx.types import BaseChannel
from tfx.types.standard_artifacts import PushedModel

from components.answers.inputs import Products
from components.artifacts import ProductIndex
from components.digest import code_digest
from components.index.build import build_index
from components.index.settings import Index
from components.index.summary import summarize, write_summary
from components.publish.store import versions
from serving.search.indexes import store_of


def index_node(
    data: Path, catalogue: str, store: Path, settings: Index, beam: list[str], pushed_model: BaseChannel
) -> BaseNode:
    """Makes the graph's node `index`, see `Indexer`.

    Args:
        data: the catalogue.
        catalogue: its digest.
        store: of the model, `<serving_dir>/<name>`.
        settings: of the recipe.
        beam: options of Beam pipelines.
        pushed_model: what the publisher says.
    """
    return Indexer(
        pushed_model=pushed_model,
        data=str(data),
        catalogue=catalogue,
        store=str(store),
        settings=settings.as_json(),
        beam=json.dumps(beam),
        code=code_digest(__name__),
    ).with_id("index")


@component
def Indexer(
    pushed_model: InputArtifact[PushedModel],
    index: OutputArtifact[ProductIndex],
    data: Parameter[str],
    catalogue: Parameter[str],
    store: Parameter[str],
    settings: Parameter[str],
    beam: Parameter[str],
    code: Parameter[str] = "",
) -> None:
    """Publishes an index of the catalogue for the version that serves: the new one, or the one before.

    Args:
        pushed_model: the publisher's, with `version`, which serves from now on.
        index: what was published, see `components.index.summary`; nothing where no model serves.
        data: path of the catalogue, readable by every Beam worker.
        catalogue: its digest, for the cache.
        store: `<serving_dir>/<name>`.
        settings: JSON of `components.index.settings.Index`.
        beam: options of the Beam pipeline, as a JSON list.
        code: digest of the sources that matter here, for the cache.

    Raises:
        PublishError: the index is below what the recipe asks for, or cannot be written.
    """
    version, chosen = pushed_model.get_string_custom_property("version"), Index.model_validate_json(settings)
    folder = versions(Path(store)).get(int(version)) if version else None
    if folder is None:
        logging.warning("no version of %s serves, so there is no index", store)
        return
    products = Products(Path(data), folder, None, chosen.kept)
    done = build_index(products, folder, store_of(Path(store)), chosen, json.loads(beam))
    write_summary(Path(index.uri), summarize(done.index.folder.name, done.index.facts))
