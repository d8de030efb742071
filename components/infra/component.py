"""Tries a model in a server before it is published, because the stock InfraValidator knows containers alone.

TFX's own executor does it, with TFX's runners where the recipe wants Docker or Kubernetes. The component is not a
subclass of TFX's: it takes one input more, and KubeflowV2DagRunner refuses subclasses.
"""

import logging
import os
import signal
import statistics
import threading
from pathlib import Path
from typing import Any, ClassVar

from tfx.components.infra_validator import error_types
from tfx.components.infra_validator.executor import Executor as InfraValidatorExecutor
from tfx.components.util.model_utils import is_model_blessed
from tfx.dsl.components.base import base_component, executor_spec
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.io import fileio
from tfx.proto import infra_validator_pb2 as proto
from tfx.types import BaseChannel, Channel, artifact_utils, component_spec, standard_artifacts
from tfx.types import standard_component_specs as specs
from tfx.utils import io_utils, path_utils
from tfx.utils.model_paths import tf_serving_flavor

from components.digest import code_digest
from components.evaluate.baseline import BLESSED, MODEL_ID
from components.infra.client import served
from components.infra.names import count_refused, find_mistake
from components.infra.requests import SIGNATURES, WARMUP, build_questions, picture_of, read_records, write_warmup
from components.infra.runner import start
from components.infra.settings import Serving
from components.publish.store import model_digest
from components.transform.taxonomy import Taxonomy
from serving.contract import check_contract, drawn_pictures

DIGEST = "digest"

_MODEL_BLESSING, _BATCH, _TAXONOMY, _ACCURACY = "model_blessing", "batch", "taxonomy", "accuracy"
_SPLIT = "test"
_POD_SPARE_SECONDS = 900  # for the requests, once the model is loaded; after that Kubernetes ends what was left behind


class Executor(InfraValidatorExecutor):
    """Starts one server on a copy of the model with its warm-up requests, which is what would be published."""

    def Do(self, input_dict: Any, output_dict: Any, exec_properties: Any) -> None:
        blessing = artifact_utils.get_single_instance(output_dict[specs.BLESSING_KEY])
        blessing.set_int_custom_property(MODEL_ID, artifact_utils.get_single_instance(input_dict[specs.MODEL_KEY]).id)
        if not is_model_blessed(artifact_utils.get_single_instance(input_dict[_MODEL_BLESSING])):
            _record(blessing, reason="not tried: its evaluation did not approve it")
            return
        self._batch, self._accuracy = exec_properties[_BATCH], exec_properties[_ACCURACY]
        self._taxonomy = Taxonomy.model_validate_json(exec_properties[_TAXONOMY])
        before = signal.getsignal(signal.SIGTERM)
        try:
            super().Do(input_dict, output_dict, exec_properties)
        except error_types.GracefulShutdown as shutdown:
            raise KeyboardInterrupt from shutdown
        finally:
            # TFX takes SIGTERM over, and gives it back only if somebody else had taken it before.
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, before or signal.SIG_DFL)

    def _Do(
        self, model: Any, examples: Any, blessing: Any, serving_spec: Any, validation_spec: Any, request_spec: Any
    ) -> None:
        name, split = serving_spec.model_name, artifact_utils.get_split_uri([examples], request_spec.split_name)
        files, count = sorted(fileio.glob(os.path.join(split, "*"))), request_spec.num_examples
        records, truth = read_records(files, self._taxonomy, count)
        model_path = self._PrepareModelPath(model, serving_spec)
        blessing.set_string_custom_property(DIGEST, model_digest(Path(model_path)))
        warmup = path_utils.warmup_file_path(model_path)
        fileio.makedirs(os.path.dirname(warmup))
        write_warmup(warmup, name, map(picture_of, records), self._batch)
        try:
            server = start(Path(model_path), serving_spec)
            with served(server, name, validation_spec.max_loading_time_seconds) as loaded:
                check_contract(loaded, self._taxonomy.classes, drawn_pictures())
                answers = [loaded.answer(question) for question in build_questions(name, records, self._batch)]
            if mistake := find_mistake(answers, self._taxonomy.classes, truth[:count], self._accuracy):
                raise error_types.ValidationFailed(mistake)
        except error_types.ValidationFailed as failure:
            logging.error("%s cannot be served: %s", name, failure)
            _record(blessing, reason=str(failure).replace(f"{model_path}: ", "").replace(f"{model_path}/", ""))
            return
        fileio.copy(warmup, os.path.join(blessing.uri, WARMUP))
        middle = statistics.median(answer.seconds for answer in answers if len(answer.rows) == 1)
        refused = count_refused(answers)
        _record(blessing, pictures=len(records), refused=refused, answered=len(answers), milliseconds=1000 * middle)

    def _PrepareModelPath(self, model: Any, serving_spec: Any) -> str:
        """Copies the model to where it can be given warm-up requests, as `<model>/<version>/`."""
        copy = tf_serving_flavor.make_model_path(self._get_tmp_dir(), serving_spec.model_name, 1)
        self._AddCleanup(io_utils.delete_dir, self._get_tmp_dir())
        io_utils.copy_dir(path_utils.serving_model_path(model.uri), copy)
        return copy


def _record(blessing: Any, reason: str = "", milliseconds: float = 0.0, **counts: int) -> None:
    """Writes what TFX's Pusher looks for, and what people want to know."""
    io_utils.write_string_file(os.path.join(blessing.uri, "INFRA_NOT_BLESSED" if reason else "INFRA_BLESSED"), "")
    blessing.set_int_custom_property(BLESSED, 0 if reason else 1)
    blessing.set_string_custom_property("reason", reason)
    for name in ("pictures", "refused", "answered"):
        blessing.set_int_custom_property(name, counts.get(name, 0))
    blessing.set_float_custom_property("milliseconds", milliseconds)


class _Spec(specs.InfraValidatorSpec):
    PARAMETERS: ClassVar[dict[str, Any]] = {
        **specs.InfraValidatorSpec.PARAMETERS,
        _BATCH: component_spec.ExecutionParameter(type=int),
        _TAXONOMY: component_spec.ExecutionParameter(type=str),
        _ACCURACY: component_spec.ExecutionParameter(type=float),
        "code": component_spec.ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, Any]] = {
        **specs.InfraValidatorSpec.INPUTS,
        _MODEL_BLESSING: component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
    }


class ServingValidator(base_component.BaseComponent):
    """Has a server load a model and answer requests, and holds the answers to what clients are promised.

    The server is a process of its own: a model that leans on code or files of the one that trained it fails here.
    Besides `serving.contract`, it is asked about real pictures, and the names are held against their classes.

    Its output `blessing` is an InfraBlessing with the custom properties `blessed` 1 or 0, `current_model_id`, `reason`
    (what speaks against the model; "" for nothing), `digest` (of the model that was tried), `pictures`, `refused`
    (those of them that no signature could decode), `answered` (requests) and `milliseconds` (the median answer about
    one picture). In the folder of one that is blessed lies `tf_serving_warmup_requests`. A model that its evaluation
    did not approve is not tried, and not blessed.

    Raises, when run, PublishError where there is no verdict: the server did not start, ended, or took too long.
    """

    SPEC_CLASS = _Spec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)


def infra_node(
    model: BaseChannel,
    model_blessing: BaseChannel,
    examples: BaseChannel,
    name: str,
    taxonomy: Taxonomy,
    accuracy: float,
    settings: Serving,
) -> BaseNode:
    """Makes the graph's node `infra`.

    Args:
        model: the trained model.
        model_blessing: whether the evaluation approved it.
        examples: ingest's; those of the split test are asked about.
        name: the model, as clients call it.
        taxonomy: gives the classes of the products.
        accuracy: that the gate asks for.
        settings: which server, and what it is asked.
    """
    request_spec = proto.RequestSpec(
        tensorflow_serving=proto.TensorFlowServingRequestSpec(signature_names=list(SIGNATURES)),
        split_name=_SPLIT,
        num_examples=settings.examples,
        make_warmup=True,
    )
    spec = _Spec(
        model=model,
        model_blessing=model_blessing,
        examples=examples,
        serving_spec=serving_spec(name, settings),
        validation_spec=proto.ValidationSpec(max_loading_time_seconds=settings.timeout, num_tries=1),
        request_spec=request_spec,
        batch=settings.batch,
        taxonomy=taxonomy.model_dump_json(),
        accuracy=accuracy,
        code=code_digest(__name__, "components.infra.server"),
        blessing=Channel(type=standard_artifacts.InfraBlessing),
    )
    return ServingValidator(spec=spec).with_id("infra")


def serving_spec(name: str, settings: Serving) -> Any:
    """TFX's ServingSpec for the settings; without a platform, and without an image, it means the local server."""
    spec = proto.ServingSpec(model_name=name)
    match settings.runner:
        case "local":
            return spec
        case "docker":
            spec.local_docker.SetInParent()
        case "kubernetes":
            spec.kubernetes.active_deadline_seconds = settings.timeout + _POD_SPARE_SECONDS
    by_digest = "@" in settings.image
    image, _, version = settings.image.rpartition("@" if by_digest else ":")
    spec.tensorflow_serving.image_name = image
    (spec.tensorflow_serving.digests if by_digest else spec.tensorflow_serving.tags).append(version)
    return spec
