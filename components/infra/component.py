"""Tries a model in a server before it is published, because the stock InfraValidator knows containers alone.

TFX's own runners start the containers, where the recipe wants Docker or Kubernetes.
"""

import contextlib
import logging
import os
import signal
import statistics
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from tfx.components.infra_validator import error_types
from tfx.components.util.model_utils import is_model_blessed
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.components.base.base_node import BaseNode
from tfx.types import BaseChannel, artifact_utils
from tfx.types.standard_artifacts import Examples, InfraBlessing, Model, ModelBlessing
from tfx.utils import io_utils
from tfx.utils.path_utils import serving_model_path

from components.digest import code_digest
from components.evaluate.baseline import BLESSED, MODEL_ID
from components.examples import picture_of
from components.infra.client import served
from components.infra.names import Answer, count_refused, find_mistake
from components.infra.requests import WARMUP, ask, read_records, write_warmup
from components.infra.runner import start
from components.infra.settings import Serving
from components.publish.store import model_digest
from components.transform.taxonomy import Taxonomy
from serving.contract import check_contract, drawn_pictures
from serving.versions import EXTRAS

DIGEST = "digest"


def infra_node(
    model: BaseChannel, model_blessing: BaseChannel, examples: BaseChannel, name: str, taxonomy: Taxonomy,
    accuracy: float, settings: Serving,
) -> BaseNode:  # fmt: skip
    """Makes the graph's node `infra`, see `ServingValidator`."""
    unused = {"decode_bytes"} | ({"image"} if settings.runner == "local" else set())
    return ServingValidator(
        model=model, model_blessing=model_blessing, examples=examples, name=name, taxonomy=taxonomy.as_json(),
        accuracy=accuracy, settings=settings.model_dump_json(exclude=unused),
        code=code_digest(__name__, "components.infra.server"),
    ).with_id("infra")  # fmt: skip


@component
def ServingValidator(
    model: InputArtifact[Model], model_blessing: InputArtifact[ModelBlessing], examples: InputArtifact[Examples],
    blessing: OutputArtifact[InfraBlessing], name: Parameter[str], taxonomy: Parameter[str], accuracy: Parameter[float],
    settings: Parameter[str], code: Parameter[str] = "",
) -> None:  # fmt: skip
    """Has a server load a model and answer requests, and holds the answers to what clients are promised.

    The server is a process of its own: a model that leans on code or files of the one that trained it fails here.
    Besides `serving.contract`, it is asked about real pictures, and the names are held against their classes. It loads
    a copy of the model with its warm-up requests, which is what would be published.

    Args:
        model: the trained model.
        model_blessing: whether the evaluation approved it; otherwise it is not tried, and not blessed.
        examples: ingest's; those of the split test are asked about.
        blessing: custom properties `blessed` 1 or 0, `current_model_id`, `reason` (what speaks against the model; ""
            for nothing), `digest` (of the model that was tried), `pictures`, `refused` (those of them that no signature
            could decode), `answered` (requests) and `milliseconds` (the median answer about one picture). In the folder
            of one that is blessed lies `tf_serving_warmup_requests`.
        name: the model, as clients call it.
        taxonomy: JSON of the taxonomy, which gives the classes of the products.
        accuracy: that the gate asks for.
        settings: JSON of `Serving`: which server, and what it is asked.
        code: digest of the sources, for the cache to notice their change.

    Raises:
        PublishError: there is no verdict: the server did not start, ended, or took too long.
    """
    blessing.set_int_custom_property(MODEL_ID, model.id)
    if not is_model_blessed(model_blessing):
        _record(blessing, reason="not tried: its evaluation did not approve it")
        return
    rules, chosen = Taxonomy.model_validate_json(taxonomy), Serving.model_validate_json(settings)
    records, truth = read_records(artifact_utils.get_split_uri([examples], "test"), rules, chosen.examples)
    with _terminable(), _copied(model, blessing, name) as copy:
        blessing.set_string_custom_property(DIGEST, model_digest(copy))
        (copy / EXTRAS).mkdir(exist_ok=True)
        write_warmup(str(copy / EXTRAS / WARMUP), name, map(picture_of, records), chosen.batch)
        try:
            answers = _answers(copy, name, records, rules, chosen)
            if mistake := find_mistake(answers, rules.classes, truth[: chosen.examples], accuracy):
                raise error_types.ValidationFailed(mistake)
        except error_types.ValidationFailed as failure:
            logging.error("%s cannot be served: %s", name, failure)
            _record(blessing, reason=str(failure).replace(f"{copy}: ", "").replace(f"{copy}/", ""))
            return
        io_utils.copy_file(str(copy / EXTRAS / WARMUP), os.path.join(blessing.uri, WARMUP))
    middle = statistics.median(answer.seconds for answer in answers if len(answer.rows) == 1)
    refused = count_refused(answers)
    _record(blessing, pictures=len(records), refused=refused, answered=len(answers), milliseconds=1000 * middle)


def _answers(model_dir: Path, name: str, records: list[bytes], taxonomy: Taxonomy, settings: Serving) -> list[Answer]:
    with served(start(model_dir, name, settings), name, settings.timeout) as loaded:
        check_contract(loaded, taxonomy.classes, drawn_pictures())
        return list(ask(loaded, records, settings.batch))


@contextlib.contextmanager
def _copied(model: Model, blessing: InfraBlessing, name: str) -> Iterator[Path]:
    """A copy of the model for a while, as `<name>/<version>/`, where containers see it that share the run's volume."""
    trial = os.path.join(blessing.uri, "trial")
    copy = Path(trial, name, "1")
    try:
        io_utils.copy_dir(serving_model_path(model.uri), str(copy))
        yield copy
    finally:
        io_utils.delete_dir(trial)


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Turns SIGTERM into an exception for a while, so that no container is left behind."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _record(blessing: InfraBlessing, reason: str = "", milliseconds: float = 0.0, **counts: int) -> None:
    """Writes what TFX's Pusher looks for, and what people want to know."""
    io_utils.write_string_file(os.path.join(blessing.uri, "INFRA_NOT_BLESSED" if reason else "INFRA_BLESSED"), "")
    blessing.set_int_custom_property(BLESSED, 0 if reason else 1)
    blessing.set_string_custom_property("reason", reason)
    for name in ("pictures", "refused", "answered"):
        blessing.set_int_custom_property(name, counts.get(name, 0))
    blessing.set_float_custom_property("milliseconds", milliseconds)
