"""A published model is copied to LiteRT and ONNX, held against the test split, and published beside it."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import tensorflow as tf
from fashion_client.local import local
from PIL import Image

from components.errors import ExportError
from components.export import job
from components.export.copies import read_copies
from components.export.golden import draw_pictures
from components.export.settings import Export
from serving.decode import decode_trusted
from serving.local_model import LocalModel
from tests.export.test_browser import CHROMIUM, served
from tests.publish.toy import save_toy
from tests.serving.serving_model import LABELS, write_model
from tests.serving.test_signatures import drawn

pytestmark = pytest.mark.slow

ASK = """async ([pixels, size]) => {
    globalThis.network ??= await tf.loadGraphModel("model.json");
    const input = tf.tensor(pixels, [1, size, size, 3], "int32");
    const answer = network.execute({pixels: input}, [network.modelSignature.outputs.probabilities.name]);
    return Array.from(await [answer].flat()[0].data());
}"""
FORMATS = ("litert-int8", "onnx", "openvino")


def write_examples(folder: Path, model: Path) -> Path:
    """Writes a train and a test split of drawn pictures, each with the model's own label."""
    pictures = [drawn(number) for number in range(24)]
    names = [answer.label for answer in LocalModel(model).predict(pictures)]
    for split in ("train", "test"):
        (folder / f"Split-{split}").mkdir(parents=True)
        path = str(folder / f"Split-{split}" / "data.gz")
        with tf.io.TFRecordWriter(path, "GZIP") as writer:
            for picture, name in zip(pictures, names, strict=True):
                example = tf.train.Example()
                example.features.feature["image_bytes"].bytes_list.value.append(picture)
                example.features.feature["label"].int64_list.value.append(LABELS.index(name))
                writer.write(example.SerializeToString())
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def model(folder):
    return write_model(folder / "serving" / "tiny" / "7")


@pytest.fixture(scope="module")
def copies(folder, model):
    examples = write_examples(folder / "examples", model)
    return job.export(model, examples, Export(formats=FORMATS), folder / "exports" / "tiny")


def test_each_format_is_published_and_answers_as_the_model_does(copies, model):
    assert [(each.form, each.already, each.parity.refused) for each in copies] == [
        (form, False, "") for form in FORMATS
    ]
    pictures = list(draw_pictures().values())
    asked = LocalModel(model)
    wanted, vectors = asked.predict(pictures), asked.embed(pictures)
    for copy, (error, cosine) in zip(copies, ((0.15, 0.98), (1e-4, 0.9999), (1e-4, 0.9999)), strict=True):
        with local(copy.path) as client:
            assert client.check() == []
            for own, other in zip(wanted, client.predict(pictures), strict=True):
                assert dict(other.top)[own.label] == pytest.approx(own.confidence, abs=error)
            for own, other in zip(vectors, client.embed(pictures), strict=True):
                assert np.dot(own.vector, other.vector) > cosine
                assert np.linalg.norm(other.vector) == pytest.approx(1)
        assert copy.path.parent.name == copy.form
        assert copy.path.name.isdecimal()


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_tensorflow_js_answers_likewise_in_node_and_in_a_browser(copies, folder, model):
    try:
        [copy] = job.export(model, folder / "examples", Export(formats=("tfjs",)), folder / "exports" / "tiny")
    except ExportError as error:
        if "cannot fetch" in str(error):
            pytest.skip(str(error))
        raise
    golden = json.loads((copy.path / "golden.json").read_text())
    with local(copy.path) as client:
        assert client.check() == []
        size = client.size
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make install")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    server = served(copy.path)
    with playwright.sync_playwright() as running:
        page = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]).new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/labels.txt")
        page.add_script_tag(url="tf.min.js")
        for name, wanted in golden["pictures"].items():
            pixels = Image.open(copy.path / "golden" / f"{name[:2]}.pixels.png")
            found = page.evaluate(ASK, [np.asarray(pixels).ravel().tolist(), size])
            assert found == pytest.approx(list(wanted["probabilities"].values()), abs=1e-3)
    server.shutdown()


def test_what_was_copied_before_is_not_copied_again(copies, folder, model):
    again = job.export(model, folder / "nowhere", Export(formats=FORMATS), folder / "exports" / "tiny")
    assert [(each.path, each.parity) for each in again] == [(each.path, each.parity) for each in copies]
    assert all(each.already for each in again)


def test_the_stage_of_a_run_copies_what_the_run_has_published_and_nothing_else(copies, folder, model):
    from tfx.types import standard_artifacts

    from components.artifacts import ModelCopies
    from components.export.component import Exporter

    examples, parameters = standard_artifacts.Examples(), {"store": str(model.parent), "code": ""}
    examples.uri = str(folder / "examples")
    for version, found in ((model.name, [(each.form, each.path, each.size) for each in copies]), ("", [])):
        pushed, artifact = standard_artifacts.PushedModel(), ModelCopies()
        artifact.uri = str(folder / f"copies of {version}")
        pushed.set_string_custom_property("pushed_version", version)
        Exporter.EXECUTOR_SPEC.executor_class().Do(
            {"pushed_model": [pushed], "examples": [examples]},
            {"copies": [artifact]},
            parameters | {"settings": Export(formats=FORMATS).as_json()},
        )
        assert [(each.form, each.path, each.size) for each in read_copies(Path(artifact.uri))] == found


def test_a_file_that_takes_blue_before_red_is_refused_and_not_published(copies, folder, model, monkeypatch):
    def convert(model_dir: Path, form: str, folder: Path, calibration: Path) -> Path:
        """Takes the right file, and exchanges the colours before its first node."""
        network = onnx.load(str(copies[1].path / "model.onnx"))
        for node in network.graph.node:
            node.input[:] = ["exchanged" if name == "pixels" else name for name in node.input]
        network.graph.initializer.append(onnx.numpy_helper.from_array(np.array([2, 1, 0]), "order"))
        network.graph.node.insert(0, onnx.helper.make_node("Gather", ["pixels", "order"], ["exchanged"], axis=3))
        (folder / form).mkdir()
        onnx.save(network, str(file := folder / form / "model.onnx"))
        return file

    monkeypatch.setattr(job, "convert", convert)
    [copy] = job.export(model, folder / "examples", Export(formats=("onnx",)), folder / "other" / "tiny")
    assert copy.path is None
    assert "an embedding's cosine to the model's is" in copy.parity.refused
    assert not (folder / "other").exists()


def test_another_road_to_the_pixels_is_found_out_in_a_process_without_tensorflow_and_not_published(
    folder, model, monkeypatch
):
    monkeypatch.setattr(job, "decode_trusted", lambda data, size: decode_trusted(data, size)[..., ::-1])
    with pytest.raises(ExportError, match=r"onnx: fashion_client\.local ended with 1: .* the embedding's cosine"):
        job.export(model, folder / "examples", Export(formats=("onnx",)), folder / "third" / "tiny")
    assert not list((folder / "third" / "tiny").rglob("bundle.json"))


def test_a_model_of_an_earlier_release_is_refused_by_name(folder, tmp_path):
    with pytest.raises(ExportError, match="it lacks the signature `pixels`"):
        job.export(save_toy(tmp_path / "model"), folder, Export(formats=("onnx",)), tmp_path / "exports")
