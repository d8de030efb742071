"""A server with the model in it answers about real pictures, or we hear why it cannot."""

import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from components.errors import PublishError
from tests import HOUSE
from tests.publish.infra import NAME, local_server, without_weights
from tests.publish.infra import model as model
from tests.publish.infra import records as records
from tests.publish.toy import LABELS


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


def asked(runner, records, seconds=20.0):
    from components.infra.client import served
    from components.infra.requests import ask

    try:
        with served(runner, NAME, seconds) as loaded:
            return list(ask(loaded, records, 32))
    finally:
        assert runner.stopped == 1


@pytest.mark.slow
def test_good_model_answers_every_request(model, records):
    with local_server(model.parent) as address:
        answers = asked(Running(address), records)
    assert len(answers) == 3 * (len(records) + 1) + len(records) + 1  # one by one with names, too
    assert all(0 < answer.seconds < 20 for answer in answers)


def without_signature(folder):
    from tensorflow.core.protobuf import saved_model_pb2

    file = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    del saved.meta_graphs[0].signature_def["embed"]
    file.write_bytes(saved.SerializeToString())


@pytest.mark.slow
def test_model_in_a_server_is_held_to_the_same_contract_as_one_in_this_process(toy, tmp_path):
    from tfx.components.infra_validator.error_types import ValidationFailed

    from components.infra.client import served
    from serving.contract import check_contract, drawn_pictures

    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "1").symlink_to(toy)
    with local_server(tmp_path / "toy") as address:
        with served(Running(address), "toy", 20) as loaded:
            check_contract(loaded, LABELS, drawn_pictures())
        with (
            pytest.raises(ValidationFailed, match="serving_default: picture 3 is refused: not a picture"),
            served(Running(address), "toy", 20) as loaded,
        ):
            check_contract(loaded, LABELS, [*drawn_pictures(), b"a word"])


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
