"""Publishes an approved model, because the stock Pusher shows servers half-copied ones and pushes again on a re-run.

The stock one copies file by file into the final folder, which a server polling it can take for a whole version.
"""

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from tfx.components.util.model_utils import is_infra_validated, is_model_blessed
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.io import fileio
from tfx.types import BaseChannel
from tfx.types.standard_artifacts import InfraBlessing, Model, ModelBlessing, ModelEvaluation, ModelRun, PushedModel
from tfx.utils.path_utils import serving_model_path

from components.artifacts import OutsideAssessment, Quarantine
from components.digest import code_digest
from components.errors import PublishError
from components.evaluate.settings import Gate
from components.infra.component import DIGEST
from components.infra.requests import WARMUP
from components.ingest.members import MEMBERS_FILE
from components.outside.assessment import ASSESSMENT_FILE
from components.publish.store import Published, publish, serving_version
from components.train.calibration import read_calibration
from components.tune.space import as_found, read_values


def publish_node(
    store: Path, keep: int, classes: Sequence[str], gate: Gate, recipe: str, **channels: BaseChannel
) -> BaseNode:
    """Makes the graph's node `publish`, see `Publisher`; the store is `<serving_dir>/<name>`, `channels` its inputs."""
    return Publisher(
        serving_dir=str(store.parent), name=store.name, keep=keep, classes=json.dumps(classes),
        gate=gate.model_dump_json(), recipe=recipe, code=code_digest(__name__), **channels,
    ).with_id("publish")  # fmt: skip


@component
def Publisher(
    model: InputArtifact[Model], blessing: InputArtifact[ModelBlessing], infra_blessing: InputArtifact[InfraBlessing],
    evaluation: InputArtifact[ModelEvaluation], assessment: InputArtifact[OutsideAssessment],
    history: InputArtifact[ModelRun], quarantine: InputArtifact[Quarantine], pushed_model: OutputArtifact[PushedModel],
    serving_dir: Parameter[str], name: Parameter[str], keep: Parameter[int], classes: Parameter[str],
    gate: Parameter[str], recipe: Parameter[str], code: Parameter[str] = "",
) -> None:  # fmt: skip
    """Puts a blessed model into `<serving_dir>/<name>/<version>/`, as it was tried; leaves any other out.

    Together with the model go its class names, the recipe that trains it, its figures, where it comes from, the
    products that it was trained and tested on, and the warm-up requests that it was tried with.

    Args:
        model: the trained model.
        blessing: whether the evaluation and the assessment of its decisions approved it.
        infra_blessing: whether a server could serve it, and the digest of what it served, see
            `components.infra.component`.
        evaluation: the figures it was judged by.
        assessment: likewise of its decisions.
        history: what the Trainer has left; of a search, the settings that were found.
        quarantine: ingest's, with the members of the splits.
        pushed_model: custom properties as the stock Pusher sets them: `pushed` 1 or 0 and, when 1, `pushed_version`
            and `pushed_destination`; `version`, which serves from now on ("" for none); and `unservable`, what a
            server said against an approved model ("" for nothing). Its folder stays empty.
        serving_dir: a local or mounted folder.
        name: the model, as clients call it.
        keep: how many of the newest versions stay.
        classes: the class names, as a JSON list, in the order of the probabilities.
        gate: what the model had to reach, as JSON of `components.evaluate.settings.Gate`.
        recipe: the experiment, as YAML text.
        code: digest of the sources that made the model.

    Raises:
        PublishError: the model's files have changed since it was tried, or the store cannot be written.
    """
    if "://" in serving_dir:
        raise PublishError(
            f"{serving_dir} is not a folder, and versions are renamed into place. Mount it; give its path."
        )
    store, unservable = Path(serving_dir) / name, ""
    if not is_model_blessed(blessing):
        pushed_model.set_int_custom_property("pushed", 0)
        logging.warning("%s was not approved. Nothing was published; %s.", name, _serves(serving_version(store)))
    elif not is_infra_validated(infra_blessing):
        unservable = infra_blessing.get_string_custom_property("reason")
        pushed_model.set_int_custom_property("pushed", 0)
        logging.error("%s: %s. Nothing was published; %s.", name, unservable, _serves(serving_version(store)))
    else:
        published = publish(
            Path(serving_model_path(model.uri)),
            store,
            infra_blessing.get_string_custom_property(DIGEST),
            {
                **_figures(evaluation.uri, json.loads(classes), Gate.model_validate_json(gate), Path(history.uri)),
                ASSESSMENT_FILE: _content(assessment.uri, ASSESSMENT_FILE),
                "recipe.yaml": as_found(recipe, read_values(Path(history.uri))),
                MEMBERS_FILE: _content(quarantine.uri, MEMBERS_FILE),
                WARMUP: _content(infra_blessing.uri, WARMUP),
            },
            keep,
            provenance={"model": model.uri, "evaluation": evaluation.uri, "code": code},
        )
        pushed_model.set_int_custom_property("pushed", 1)
        pushed_model.set_string_custom_property("pushed_version", str(published.version))
        pushed_model.set_string_custom_property("pushed_destination", str(published.path))
        logging.info("%s", _in_words(name, published, serving_version(store)))
    pushed_model.set_string_custom_property("unservable", unservable)
    pushed_model.set_string_custom_property("version", str(serving_version(store) or ""))


def _content(folder: str, name: str) -> bytes:
    with fileio.open(os.path.join(folder, name), "rb") as file:
        return file.read()


def _figures(evaluation_dir: str, classes: list[str], gate: Gate, history: Path) -> dict[str, str | bytes]:
    from components.evaluate.verdict import read_verdict  # TFMA takes seconds to import; a refused model needs none

    metrics = read_verdict(evaluation_dir, True, tuple(classes), gate).as_json()
    scaled = read_calibration(history)
    metrics["calibration"] = scaled.model_dump() if scaled else None
    return {
        "labels.txt": "".join(f"{label}\n" for label in classes),
        "metrics.json": json.dumps(metrics, indent=2) + "\n",
    }


def _in_words(name: str, published: Published, serving: int | None) -> str:
    state = "was published before" if published.already else "is published"
    return f"{name} {state} as version {published.version}; {_serves(serving)}."


def _serves(version: int | None) -> str:
    return "no version serves" if version is None else f"version {version} serves"
