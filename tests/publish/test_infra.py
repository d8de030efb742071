"""Trying a model before it is published: it is blessed, with its warm-up, or the reason why not is kept."""

import gzip
import os
import shutil
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from components.errors import PublishError
from components.infra.settings import Serving
from components.publish.store import model_digest
from serving.server.config import Options
from serving.server.limits import Limits
from tests.contract.endpoint import running
from tests.publish.infra import NAME, TAXONOMY, local_server, product, without_weights
from tests.publish.infra import model as model
from tests.publish.infra import records as records
from tests.publish.toy import save_toy
from tests.serving.serving_model import LABELS, write_model

DIGEST = f"sha256:{'0a' * 32}"


@pytest.mark.parametrize("image", ["tensorflow/serving", "tensorflow/serving:", "host:5000/serving", "a b:1", "x@y"])
def test_image_without_a_version_is_refused(image):
    with pytest.raises(ValidationError, match="is not a version of an image; write it with a tag"):
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

    from components.infra.runner import serving_spec

    for runner in ("docker", "kubernetes"):
        spec = serving_spec(NAME, Serving(runner=runner, image=image))
        wanted = spec.tensorflow_serving
        assert (wanted.image_name, list(wanted.tags), list(wanted.digests)) == (name, tags, digests)
        assert [binary.image for binary in parse_serving_binaries(spec)] == [image]


def test_image_does_not_matter_to_the_local_server():
    assert key(Serving()) == key(Serving(image="other:1"))
    assert key(Serving(runner="docker")) != key(Serving(runner="docker", image="other:1"))


def key(settings, accuracy=0.0):
    """The parameters of the graph's node."""
    from tfx.types import Channel
    from tfx.types.standard_artifacts import Examples, Model, ModelBlessing

    from components.infra.component import infra_node

    channels = (Channel(type=kind) for kind in (Model, ModelBlessing, Examples))
    return infra_node(*channels, NAME, TAXONOMY, accuracy, settings).exec_properties


@pytest.fixture
def tried(tmp_path, records):
    """Tries a model as an orchestrator does; returns the blessing."""
    from tfx.types import standard_artifacts

    from components.infra.component import ServingValidator

    def run(model_dir, approved=True, accuracy=0.0, more=(), **settings):
        model, verdict = standard_artifacts.Model(), standard_artifacts.ModelBlessing()
        examples, blessing = standard_artifacts.Examples(), standard_artifacts.InfraBlessing()
        model.uri, examples.uri, blessing.uri = (str(tmp_path / name) for name in ("trained", "examples", "blessing"))
        shutil.copytree(model_dir, tmp_path / "trained" / "Format-Serving")
        verdict.set_int_custom_property("blessed", int(approved))
        examples.split_names = '["train", "eval", "test"]'
        write_split(tmp_path / "examples" / "Split-test", [*records, *more])
        (tmp_path / "blessing").mkdir()
        inputs = {"model": [model], "model_blessing": [verdict], "examples": [examples]}
        parameters = key(Serving(**settings), accuracy)
        ServingValidator.EXECUTOR_SPEC.executor_class().Do(inputs, {"blessing": [blessing]}, parameters)
        return blessing

    return run


class Here:
    """The local server in a thread of this process: it answers as one that was started, and there at once."""

    def __init__(self, model_dir, name, settings):
        self._server = running(model_dir.parents[1], Limits(), Options())

    def WaitUntilRunning(self, deadline):
        self._endpoint = self._server.__enter__()

    def GetEndpoint(self):
        return self._endpoint.grpc

    def GetLogs(self):
        return ""

    def Stop(self):
        self._server.__exit__(None, None, None)


@pytest.fixture
def here(monkeypatch):
    from components.infra import component

    monkeypatch.setattr(component, "start", Here)


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
    assert blessing.get_int_custom_property("pictures") == 5  # three, and one more of each class that is not among them
    assert blessing.get_int_custom_property("answered") == 3 * (5 + 2) + 5 + 2  # the five again with names
    assert 0 < blessing.get_float_custom_property("milliseconds") < 60_000
    assert set(contents(tmp_path / "blessing")) == {"INFRA_BLESSED", "tf_serving_warmup_requests"}
    assert blessing.get_string_custom_property("digest") == model_digest(model)
    assert contents(tmp_path / "trained" / "Format-Serving") == contents(model)
    published = Path(shutil.copytree(model, tmp_path / "published"))
    shutil.copy(tmp_path / "blessing" / "tf_serving_warmup_requests", published / "assets.extra")
    servable = Servable(published)
    assert servable.warm_up(published) == 4 * 2  # by each signature a picture and a batch
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


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("labels", "accuracy", "reason"),
    [
        pytest.param(
            LABELS[::-1],
            0.0,
            "serving_default: picture 0: label is eyewear, which is not the most probable class",
            marks=pytest.mark.slow,
        ),
        (
            LABELS,
            0.97,
            "serving_default names the right class of 1 of 5 pictures of the test split (20.0%, 95 % interval",
        ),
    ],
)
def test_model_that_names_other_classes_than_the_gate_judged_is_not_blessed(tried, tmp_path, labels, accuracy, reason):
    sure = write_model(tmp_path / NAME / "1", labels, bias=100.0)
    blessing = tried(sure, accuracy=accuracy)
    assert blessing.get_int_custom_property("blessed") == 0
    assert blessing.get_string_custom_property("reason").startswith(reason)
    assert set(contents(tmp_path / "blessing")) == {"INFRA_NOT_BLESSED"}


@pytest.mark.usefixtures("here")
def test_model_that_breaks_the_contract_is_not_blessed(tried, tmp_path):
    broken = save_toy(tmp_path / "toy", "embed", lambda tf, answer: {"embedding": answer["embedding"] * 3})
    blessing = tried(broken)
    assert blessing.get_int_custom_property("blessed") == 0
    assert blessing.get_string_custom_property("reason") == "embed: picture 0: the embedding has norm 3.0000"
    assert set(contents(tmp_path / "blessing")) == {"INFRA_NOT_BLESSED"}


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_picture_that_even_the_gate_could_not_judge_is_skipped_and_counted(tried, model):
    blessing = tried(model, more=[product(b"", number=9)])
    assert blessing.get_int_custom_property("blessed") == 1
    assert blessing.get_int_custom_property("pictures") == 6
    assert blessing.get_int_custom_property("refused") == 1


def test_refused_model_is_not_tried(tried, tmp_path):
    (tmp_path / "model").mkdir()  # no server could load it, and none has to say so
    blessing = tried(tmp_path / "model", approved=False)
    assert blessing.get_int_custom_property("blessed") == 0
    assert blessing.get_string_custom_property("reason") == "not tried: its evaluation did not approve it"
    assert set(contents(tmp_path / "blessing")) == {"INFRA_NOT_BLESSED"}


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
    assert contents(tmp_path / "blessing") == {}


@pytest.mark.slow
def test_being_told_to_stop_ends_the_run_and_the_server(tried, model, docker, monkeypatch):
    from components.infra import component

    def told_to_stop(runner, *more):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        finally:
            runner.Stop()

    monkeypatch.setattr(component, "served", told_to_stop)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        tried(model, runner="docker")
    assert docker.stopped == 1
    assert signal.getsignal(signal.SIGTERM) is before
