"""Trying a model before it is published: a server answers about real pictures, or we hear why it cannot."""

import gzip
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import grpc
import numpy as np
import pytest
from pydantic import ValidationError

from components.errors import PublishError
from components.settings import Serving
from tests.serving_model import write_model

HOUSE = Path(__file__).parents[1]
NAME = "six_class"
DIGEST = f"sha256:{'0a' * 32}"


@pytest.mark.parametrize("image", ["tensorflow/serving", "tensorflow/serving:", "host:5000/serving", "a b:1", "x@y"])
def test_image_without_a_version_is_refused(image):
    with pytest.raises(ValidationError, match="is no image of one version; write it with a tag"):
        Serving(image=image)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("image", "name", "tags", "digests"),
    [
        ("tensorflow/serving:2.19.1", "tensorflow/serving", ["2.19.1"], []),
        ("host:5000/tf/serving:2.19.1-gpu", "host:5000/tf/serving", ["2.19.1-gpu"], []),
        (f"tensorflow/serving@{DIGEST}", "tensorflow/serving", [], [DIGEST]),
    ],
)
def test_image_reaches_the_stock_runners_whole(image, name, tags, digests):
    from tfx.components.infra_validator.serving_bins import parse_serving_binaries

    from components.infra.component import serving_spec

    for runner in ("docker", "kubernetes"):
        spec = serving_spec(NAME, Serving(runner=runner, image=image))
        wanted = spec.tensorflow_serving
        assert (wanted.image_name, list(wanted.tags), list(wanted.digests)) == (name, tags, digests)
        assert [binary.image for binary in parse_serving_binaries(spec)] == [image]


@pytest.mark.slow
def test_image_does_not_matter_to_the_local_server():
    from components.infra.component import serving_spec

    assert serving_spec(NAME, Serving()) == serving_spec(NAME, Serving(image="other:1"))


def drawn(number, side=24):
    """A JPEG; the larger its side, the more bytes it has."""
    import tensorflow as tf

    noise = np.random.default_rng(number).integers(0, 256, (side, side, 3), np.uint8)
    return tf.io.encode_jpeg(noise, quality=95).numpy()


def product(picture, title=b"Blue shirt"):
    import tensorflow as tf

    def feature(value):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    features = {"image_bytes": feature(picture), "productDisplayName": feature(title)}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


@pytest.fixture(scope="module")
def records():
    return [product(drawn(number)) for number in range(5)]


@pytest.mark.slow
def test_every_signature_is_asked_about_each_product_and_about_all_at_once(records):
    from components.infra.requests import build_requests, picture_of

    asked = {}
    for request in build_requests(NAME, records):
        assert request.model_spec.name == NAME
        [(name, tensor)] = request.inputs.items()
        asked.setdefault((request.model_spec.signature_name, name), []).append(list(tensor.string_val))
    pictures = [picture_of(record) for record in records]
    assert asked == {
        ("serving_default", "image_bytes"): [*([picture] for picture in pictures), pictures],
        ("examples", "examples"): [*([record] for record in records), records],
        ("embed", "image_bytes"): [*([picture] for picture in pictures), pictures],
    }


def read_warmup(path):
    """Rows of the requests in a warm-up file, by signature, as TensorFlow's C++ runtime reads their tensors."""
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    found = {}
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        [tensor] = request.inputs.values()
        rows = tf.io.parse_tensor(tensor.SerializeToString(), tf.string).numpy().tolist()
        found.setdefault(request.model_spec.signature_name, []).append(rows)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sides", "batch", "distinct"),
    [
        ([24] * 16, 32, 4),
        ([24] * 16, 2, 2),
        ([24], 8, 1),
        ([60, 24, 120, 24, 500, 24], 32, 4),  # the smallest of them
        ([120] * 4, 32, 2),  # one more would be too large
        ([400], 32, 1),  # too large, but all there is
    ],
)
def test_warmup_is_small_and_fills_batches_with_real_pictures(tmp_path, sides, batch, distinct):
    from components.infra.requests import WARMUP, picture_of, write_warmup

    pictures = [drawn(number, side) for number, side in enumerate(sides)]
    write_warmup(str(tmp_path / WARMUP), NAME, pictures, batch)
    smallest = sorted(pictures, key=len)[:distinct]
    filled = [*smallest, *[smallest[-1]] * (batch - distinct)]
    found = read_warmup(tmp_path / WARMUP)
    assert found["serving_default"] == found["embed"] == [smallest[:1], filled]
    assert [[picture_of(row) for row in rows] for rows in found["examples"]] == found["embed"]
    if sides != [400]:
        assert (tmp_path / WARMUP).stat().st_size < 205_000


@pytest.mark.slow
def test_warmup_tells_nothing_of_a_product_but_its_picture(tmp_path, records):
    from components.infra.requests import picture_of, write_warmup

    for name in ("first", "again"):
        write_warmup(str(tmp_path / name), NAME, map(picture_of, records), 32)
    content = (tmp_path / "first").read_bytes()
    assert b"Blue shirt" in records[0]
    assert b"Blue shirt" not in content
    assert content == (tmp_path / "again").read_bytes()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / NAME / "1")


class Running:
    """A runner of a server that runs already."""

    def __init__(self, address, fault=None):
        self.address, self.fault, self.stopped = address, fault, 0

    def __repr__(self):
        return "this server"

    def WaitUntilRunning(self, deadline):
        if self.fault:
            raise self.fault

    def GetEndpoint(self):
        return self.address

    def GetLogs(self):
        return "what it wrote"

    def Stop(self):
        self.stopped += 1


@contextmanager
def local_server(base):
    """The local server in this process, with the model in a folder of versions."""
    from serving.server.config import Options
    from serving.server.limits import Limits
    from tests.contract.endpoint import running

    with running(base, Limits(), Options(poll_seconds=0), grace_seconds=0.1) as endpoint:
        yield endpoint.grpc


def asked(runner, records, seconds=20.0):
    from components.infra.client import ask
    from components.infra.requests import build_requests

    try:
        return ask(runner, NAME, build_requests(NAME, records), seconds)
    finally:
        assert runner.stopped == 1


@pytest.mark.slow
def test_good_model_answers_every_request(model, records):
    with local_server(model.parent) as address:
        seconds = asked(Running(address), records)
    assert len(seconds) == 3 * (len(records) + 1)
    assert all(0 < took < 20 for took in seconds)


def without_weights(folder):
    (folder / "variables" / "variables.index").unlink()


def without_signature(folder):
    from tensorflow.core.protobuf import saved_model_pb2

    file = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    del saved.meta_graphs[0].signature_def["embed"]
    file.write_bytes(saved.SerializeToString())


def warmed_up_in_vain(folder):
    (folder / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"damaged" * 9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "answer"),
    [
        (without_weights, "it cannot be loaded: .*variables"),
        (warmed_up_in_vain, "it cannot be loaded: .*tf_serving_warmup_requests"),
        (without_signature, 'embed: FAILED_PRECONDITION: Serving signature key "embed" not found'),
    ],
)
def test_server_says_what_is_wrong_with_a_model(model, records, tmp_path, damage, answer):
    from tfx.components.infra_validator.error_types import ValidationFailed

    damage(Path(shutil.copytree(model, tmp_path / NAME / "1")))
    with local_server(tmp_path / NAME) as address, pytest.raises(ValidationFailed, match=answer) as caught:
        asked(Running(address), records)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_model_that_refuses_a_picture_of_the_catalogue_is_refused(model, records):
    from tfx.components.infra_validator.error_types import ValidationFailed

    refused = r"serving_default: a picture of the catalogue is refused: the picture is empty"
    with local_server(model.parent) as address, pytest.raises(ValidationFailed, match=refused):
        asked(Running(address), [*records, product(b"")])


@contextmanager
def stub_server(state, predict):
    """A server that says of its model what it is told to."""
    from tensorflow_serving.apis import (
        get_model_status_pb2,
        model_service_pb2_grpc,
        prediction_service_pb2_grpc,
    )

    class Models(model_service_pb2_grpc.ModelServiceServicer):
        def GetModelStatus(self, request, context):
            response = get_model_status_pb2.GetModelStatusResponse()
            if state:
                value = get_model_status_pb2.ModelVersionStatus.State.Value(state)
                response.model_version_status.add(version=1, state=value)
            return response

    class Predictions(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):
            return predict(context)

    server = grpc.server(ThreadPoolExecutor(2))
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(Models(), server)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Predictions(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def says(code):
    return lambda context: context.abort(code, "as it is told to\nand more")


def silent(context):
    from tensorflow_serving.apis import predict_pb2

    return predict_pb2.PredictResponse()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("state", "predict", "answer"),
    [
        ("LOADING", silent, r"six_class was not loaded within 0\.5 s by this server: it says LOADING\. Give it more"),
        ("", silent, r"not loaded within 0\.5 s by this server: it has not answered yet"),
        ("AVAILABLE", says(grpc.StatusCode.UNAVAILABLE), "gave no answer, serving_default: UNAVAILABLE: as it is told"),
        ("AVAILABLE", says(grpc.StatusCode.RESOURCE_EXHAUSTED), "gave no answer, serving_default: RESOURCE_EXHAUSTED"),
    ],
)
def test_server_that_gives_no_verdict_is_an_error_of_the_run(records, state, predict, answer):
    with stub_server(state, predict) as address, pytest.raises(PublishError, match=answer) as caught:
        asked(Running(address), records, seconds=0.5)
    assert str(caught.value).endswith("Nothing was published.")
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("predict", "answer"),
    [
        (says(grpc.StatusCode.INTERNAL), "^serving_default: INTERNAL: as it is told to$"),
        (silent, "^serving_default: 1 pictures get 0 answers$"),
    ],
)
def test_wrong_answer_of_a_server_is_a_verdict_on_the_model(records, predict, answer):
    from tfx.components.infra_validator.error_types import ValidationFailed

    with stub_server("AVAILABLE", predict) as address, pytest.raises(ValidationFailed, match=answer):
        asked(Running(address), records)


@pytest.mark.slow
def test_server_that_never_listens_is_given_up(records):
    with pytest.raises(PublishError, match=r"not loaded within 0\.3 s by this server"):
        asked(Running("127.0.0.1:9"), records, seconds=0.3)


@pytest.mark.slow
def test_container_that_ends_is_an_error_of_the_run(records):
    from tfx.components.infra_validator.error_types import JobAborted

    with pytest.raises(PublishError, match=r"could not be tried in this server: it is gone\. What led to it"):
        asked(Running("", fault=JobAborted("it is gone")), records)


@pytest.mark.slow
def test_local_server_is_given_up_and_killed_at_its_deadline(model):
    from tfx.components.infra_validator.error_types import DeadlineExceeded

    from components.infra.runner import LocalRunner

    runner = LocalRunner(model)
    runner.Start()
    with pytest.raises(DeadlineExceeded, match="still loading"):
        runner.WaitUntilRunning(time.time() + 0.1)
    runner.Stop()
    assert runner._process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_local_server_that_cannot_start_says_why(tmp_path):
    from tfx.components.infra_validator.error_types import JobAborted

    from components.infra.runner import LocalRunner

    runner = LocalRunner(tmp_path / NAME / "1")
    runner.Start()
    try:
        with pytest.raises(JobAborted, match=f"ended with 1: .*{NAME}.*No such file or directory"):
            runner.WaitUntilRunning(time.time() + 180)
    finally:
        runner.Stop()


@pytest.mark.slow
def test_local_server_ends_with_the_process_that_started_it(tmp_path):
    starts = f"""
import os, subprocess, sys
command = [sys.executable, "-m", "components.infra.server", {str(tmp_path)!r}, "m"]
print(subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL).pid, flush=True)
os.kill(os.getpid(), {signal.SIGKILL:d})
"""
    parent = subprocess.run([sys.executable, "-c", starts], cwd=HOUSE, capture_output=True, text=True)
    server = int(parent.stdout)
    until = time.monotonic() + 3  # it would not be done with its imports
    while alive(server) and time.monotonic() < until:
        time.sleep(0.02)
    assert not alive(server)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def tried(tmp_path, records):
    """Tries a model as an orchestrator does; returns the blessing."""
    from tfx.types import standard_artifacts
    from tfx.utils import proto_utils

    from components.infra.component import ServingValidator

    def channel(kind):
        from tfx import v1 as tfx

        return tfx.dsl.Channel(type=kind)

    def run(model_dir, approved=True, **settings):
        node = ServingValidator(
            model=channel(standard_artifacts.Model),
            model_blessing=channel(standard_artifacts.ModelBlessing),
            examples=channel(standard_artifacts.Examples),
            name=NAME,
            settings=Serving(**settings),
        )
        parameters = {
            name: proto_utils.proto_to_json(value) if hasattr(value, "DESCRIPTOR") else value
            for name, value in node.spec.exec_properties.items()
        }
        model, verdict = standard_artifacts.Model(), standard_artifacts.ModelBlessing()
        examples, blessing = standard_artifacts.Examples(), standard_artifacts.InfraBlessing()
        model.uri, examples.uri, blessing.uri = (str(tmp_path / name) for name in ("trained", "examples", "blessing"))
        shutil.copytree(model_dir, tmp_path / "trained" / "Format-Serving")
        verdict.set_int_custom_property("blessed", int(approved))
        examples.split_names = '["train", "eval", "test"]'
        write_split(tmp_path / "examples" / "Split-test", records)
        (tmp_path / "blessing").mkdir()
        executor_class = ServingValidator.EXECUTOR_SPEC.executor_class
        context = executor_class.Context(tmp_dir=str(tmp_path / "tmp"), unique_id="1")
        inputs = {"model": [model], "model_blessing": [verdict], "examples": [examples]}
        executor_class(context).Do(inputs, {"blessing": [blessing]}, parameters)
        return blessing

    return run


def write_split(folder, records):
    import tensorflow as tf

    folder.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(folder / "plain")) as file:
        for record in records:
            file.write(record)
    plain = (folder / "plain").read_bytes()
    (folder / "plain").unlink()
    (folder / "data_tfrecord-00000-of-00001.gz").write_bytes(gzip.compress(plain))


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_model_that_the_local_server_serves_is_blessed_with_its_warmup(tried, model, tmp_path):
    from serving.server.servable import Servable

    before = signal.getsignal(signal.SIGTERM)
    blessing = tried(model, examples=3, batch=4)
    assert signal.getsignal(signal.SIGTERM) is before
    assert blessing.get_int_custom_property("blessed") == 1
    assert blessing.get_string_custom_property("reason") == ""
    assert blessing.get_int_custom_property("pictures") == 3
    assert blessing.get_int_custom_property("answered") == 12
    assert 0 < blessing.get_float_custom_property("milliseconds") < 60_000
    assert set(contents(tmp_path / "blessing")) == {"INFRA_BLESSED", "tf_serving_warmup_requests"}
    assert contents(tmp_path / "trained" / "Format-Serving") == contents(model)
    assert contents(tmp_path / "tmp") == {}
    published = Path(shutil.copytree(model, tmp_path / "published"))
    shutil.copy(tmp_path / "blessing" / "tf_serving_warmup_requests", published / "assets.extra")
    servable = Servable(published)
    assert servable.warm_up(published) == 6
    servable.close()


class Docker:
    """Stands for a Docker daemon whose containers are the local server in this process."""

    def __init__(self):
        self.asked_for, self.stopped, self._base = [], 0, None
        self.containers = SimpleNamespace(run=self._run)

    def _run(self, **parameters):
        self.asked_for.append(parameters)
        [mount] = parameters["mounts"]
        assert mount["Target"] == f"{parameters['environment']['MODEL_BASE_PATH']}/{NAME}/1"
        self._server = local_server(Path(mount["Source"]).parent)
        port = self._server.__enter__().rpartition(":")[2]
        return SimpleNamespace(
            status="running",
            ports={"8500/tcp": [{"HostIp": "0.0.0.0", "HostPort": port}]},
            reload=lambda: None,
            logs=lambda: b"what the container wrote",
            stop=self._stop,
        )

    def _stop(self):
        self.stopped += 1
        self._server.__exit__(None, None, None)

    def close(self):
        """As the runner does in the end."""


@pytest.fixture
def docker(monkeypatch):
    from tfx.components.infra_validator.model_server_runners import local_docker_runner

    daemon = Docker()
    monkeypatch.setattr(local_docker_runner, "_make_docker_client", lambda config: daemon)
    return daemon


@pytest.mark.slow
def test_recipe_can_have_it_tried_in_the_image_of_tensorflow_serving(tried, model, docker):
    blessing = tried(model, runner="docker", image="tensorflow/serving:2.20.0", examples=2)
    assert blessing.get_int_custom_property("blessed") == 1
    assert [parameters["image"] for parameters in docker.asked_for] == ["tensorflow/serving:2.20.0"]
    assert docker.stopped == 1


@pytest.mark.slow
def test_model_that_no_server_can_serve_is_not_blessed_and_the_reason_is_kept(tried, model, docker, tmp_path, caplog):
    broken = Path(shutil.copytree(model, tmp_path / "broken"))
    without_weights(broken)
    blessing = tried(broken, runner="docker")
    assert blessing.get_int_custom_property("blessed") == 0
    reason = blessing.get_string_custom_property("reason")
    assert reason.startswith("it cannot be loaded: ")
    assert str(tmp_path) not in reason
    assert set(contents(tmp_path / "blessing")) == {"INFRA_NOT_BLESSED"}
    assert docker.stopped == 1
    assert "six_class cannot be served: it cannot be loaded" in caplog.text
    assert "what the container wrote" in caplog.text


@pytest.mark.slow
def test_refused_model_is_not_tried(tried, model, docker, tmp_path):
    blessing = tried(model, approved=False, runner="docker")
    assert blessing.get_int_custom_property("blessed") == 0
    assert blessing.get_string_custom_property("reason") == "not tried: its evaluation did not approve it"
    assert set(contents(tmp_path / "blessing")) == {"INFRA_NOT_BLESSED"}
    assert docker.asked_for == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("runner", "answer"),
    [
        ("docker", r"serving\.runner is docker, which started no server: .*\. Start Docker, or name in DOCKER_HOST"),
        ("kubernetes", r"serving\.runner is kubernetes, which started no server: .*\. It can be used by tasks on Kub"),
    ],
)
def test_missing_container_platform_is_one_clear_error(tried, model, tmp_path, monkeypatch, runner, answer):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nowhere.sock")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    with pytest.raises(PublishError, match=answer) as caught:
        tried(model, runner=runner)
    assert str(caught.value).endswith("with --set serving.runner=local. Nothing was published.")
    assert "\n" not in str(caught.value)
    assert contents(tmp_path / "tmp") == {}


@pytest.mark.slow
def test_being_told_to_stop_ends_the_run_and_the_server(tried, model, docker, monkeypatch):
    from components.infra import component

    def told_to_stop(runner, *more):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        finally:
            runner.Stop()

    monkeypatch.setattr(component, "ask", told_to_stop)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        tried(model, runner="docker")
    assert docker.stopped == 1
    assert signal.getsignal(signal.SIGTERM) is before
