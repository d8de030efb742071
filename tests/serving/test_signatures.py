"""The published model: what it answers after a reload in a fresh process is what the trained network says."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from fashion_client import Thresholds
from fashion_client.reading import Reading
from PIL import Image
from tensorflow_transform.tf_metadata import metadata_io

from components.networks.classifier import kinds_head, pooled_trunk, serving_network, softmax_head
from components.networks.settings import Model
from components.outside.score import Score
from components.outside.thresholds import label_sets
from components.transform.settings import Balance
from serving.contract import check_contract, drawn_pictures
from serving.decode import decode_trusted
from serving.grams import BUCKETS
from serving.server.errors import ServingError
from serving.server.servable import Servable
from serving.signatures import Classifier, Tag, Words
from tests.transform.test_transform import GENDER, SIX, SPEC, products, serialize, transformed

pytestmark = pytest.mark.slow

SIZE = 32
RULES = SimpleNamespace(
    thresholds=Thresholds(outside=40.0, clear=24.0, confidence=0.25), sets=(0.1, 0.15, 0.2, 0.1, 0.15, 0.2),
    tags={"gender": 0.9},
)  # fmt: skip
# Each name says shoes, and of gender nothing; it counts twice as much as the picture.
KERNEL = np.tile(np.float32([0, 90, 0, 0, 0, 0, 0, 0]), (BUCKETS, 1))
WORDS = Words(KERNEL, [(1.0, 2.0), (1.0, 0.0)])
BAD = 2  # row of the picture that is none
TEXTS = (
    {"subCategory": b"Sandal", "gender": b"Women"},
    {"articleType": b"Bra"},
    {},
    {"subCategory": b"Bags"},
    {"subCategory": b"Topwear"},
)
SIZES = len(SIX.classes), len(GENDER.classes)
ALLOWED = np.array([[False, True]] * 3 + [[True, True]] * 3)  # topwear, shoes and underwear are for women alone

# Runs in a process that has TensorFlow and the files of the model, and nothing of this project.
ASK = """
import sys
import numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
asked = np.load(sys.argv[2], allow_pickle=True)
answers = {}
for case, (signature, name) in {"bytes": ("serving_default", "image_bytes"), "examples": ("examples", "examples"),
                                "embed": ("embed", "image_bytes"), "explain": ("explain", "image_bytes"),
                                "evaluate": ("evaluate", "examples"),
                                "observed": ("observe", "image_bytes"),
                                "labels": ("transform_features", "examples")}.items():
    for suffix, rows in (("", asked[name].tolist()), ("/none", [])):
        given = {name: tf.constant(rows, tf.string, shape=[len(rows)])}
        for output, value in model.signatures[signature](**given).items():
            answers[f"{case}{suffix}/{output}"] = value.numpy()
for output, value in model.signatures["pixels"](pixels=tf.constant(asked["pixels"])).items():
    answers[f"pixels/{output}"] = value.numpy()
np.savez(sys.argv[3], **answers)
"""


def transform_graph(folder: Path) -> Path:
    """A Transform component's output, as far as the Trainer reads it, for the six classes."""
    transformed(folder, products({"topwear": 3, "shoes": 3}), [], Balance())
    graph = folder / "graph"
    metadata_io.write_metadata(tft.DatasetMetadata.from_feature_spec(SPEC), str(graph / "metadata"))
    return graph


def drawn(number: int) -> bytes:
    random = np.random.default_rng(number)
    picture = Image.fromarray(random.integers(0, 256, (8, 6, 3)).astype(np.uint8)).resize((60, 80))
    stream = io.BytesIO()
    picture.save(stream, "PNG" if number % 2 else "JPEG")
    return stream.getvalue()


PICTURES = [b"no picture" if row == BAD else drawn(row) for row in range(len(TEXTS))]


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(1)
    settings = Model(backbone="efficientnet_lite0", weights="none")
    trunk = pooled_trunk(settings, SIZE)
    head = softmax_head(settings, trunk.output_shape[-1], np.linspace(-1, 1, sum(SIZES)), SIZES)
    kernel, bias = head.get_layer("logits").get_weights()
    # A head as it is made answers all pictures nearly alike.
    head.get_layer("logits").set_weights([kernel * 20, bias])
    random = np.random.default_rng(0)
    kinds = Score(random.normal(size=(1280, 3)).astype(np.float32) * 20, np.zeros(3, np.float32), np.arange(3) == 2)
    return serving_network(trunk, head, kinds_head(kinds, head))


@pytest.fixture(scope="module")
def saved(network, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    transform = tft.TFTransformOutput(str(transform_graph(folder)))
    spec = transform.raw_feature_spec()
    spec.pop("image_bytes")
    layer = transform.transform_features_layer()
    tags = [Tag("gender", GENDER.classes, 0, ALLOWED)]
    Classifier(network, SIX.classes, SIZE, 20_000, layer, spec, tags=tags, rules=RULES, words=WORDS).save(
        folder / "model"
    )
    return folder / "model"


def test_a_server_restores_each_variable_once_and_all_that_signatures_read(network, saved) -> None:
    Servable(saved).close()
    stored = [name for name, _ in tf.train.list_variables(str(saved / "variables" / "variables"))]
    variables = [name for name in stored if name != "_CHECKPOINTABLE_OBJECT_GRAPH"]
    assert len(variables) == len({id(variable) for variable in network.variables}) + 1  # and what reads names


def test_a_keras_network_that_is_tracked_is_one_a_server_cannot_run(network, tmp_path) -> None:
    class Tracking(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        @tf.function(input_signature=[tf.TensorSpec([None, SIZE, SIZE, 3], tf.float32)])
        def ask(self, pictures: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"probabilities": self.network(pictures)[0]}

    module = Tracking()
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.ask})
    with pytest.raises(ServingError, match="variable"):
        Servable(tmp_path)


def fresh(*arguments: str, cwd: Path) -> str:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, env=environment, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def answers(saved, tmp_path_factory) -> Mapping[str, Any]:
    folder = tmp_path_factory.mktemp("asked")
    examples = [
        serialize({"id": b"7", "image_bytes": picture, **texts}) for picture, texts in zip(PICTURES, TEXTS, strict=True)
    ]
    pixels = [decode_trusted(picture, SIZE) for row, picture in enumerate(PICTURES) if row != BAD]
    np.savez(
        folder / "asked.npz",
        image_bytes=np.array(PICTURES, object),
        examples=np.array(examples, object),
        pixels=np.array(pixels),
    )
    fresh("-c", ASK, str(saved), str(folder / "asked.npz"), str(folder / "answers.npz"), cwd=folder)
    return np.load(folder / "answers.npz", allow_pickle=True)


@pytest.fixture(scope="module")
def expected(network) -> tuple[np.ndarray, ...]:
    """Probabilities, features, heat and outside of the good pictures, from the network itself."""
    good = [picture for row, picture in enumerate(PICTURES) if row != BAD]
    pictures = tf.stack([tf.cast(decode_trusted(picture, SIZE), tf.float32) for picture in good])
    return tuple(output.numpy() for output in network(pictures))


def good_rows(values: np.ndarray) -> np.ndarray:
    return np.delete(values, BAD, axis=0)


def test_reloaded_model_gives_the_probabilities_of_the_network(answers, expected):
    probabilities = expected[0][:, : len(SIX.classes)]
    assert probabilities.std(axis=0).max() > 0.01  # pictures that differ are answered differently
    assert good_rows(answers["bytes/probabilities"]) == pytest.approx(probabilities, abs=1e-5)


def test_label_and_top_follow_from_the_probabilities(answers):
    probabilities = good_rows(answers["bytes/probabilities"])
    order = np.argsort(-probabilities, axis=1)[:, :5]
    classes = np.array([name.encode() for name in SIX.classes])
    assert good_rows(answers["bytes/top_labels"]).tolist() == classes[order].tolist()
    assert np.array_equal(good_rows(answers["bytes/top_scores"]), np.take_along_axis(probabilities, order, axis=1))
    assert good_rows(answers["bytes/label"]).tolist() == classes[order[:, 0]].tolist()
    assert np.array_equal(good_rows(answers["bytes/confidence"]), probabilities.max(axis=1))
    assert good_rows(answers["bytes/error"]).tolist() == [b""] * 4


def test_a_tag_is_the_most_probable_class_that_goes_with_the_label(answers, expected):
    main, gender = np.split(expected[0], [len(SIX.classes)], axis=1)
    assert gender.sum(axis=1) == pytest.approx(np.ones(4), abs=1e-5)
    possible = gender * ALLOWED[main.argmax(axis=1)]
    assert (possible.argmax(axis=1) != gender.argmax(axis=1)).any()
    labels = [GENDER.classes[index].encode() for index in possible.argmax(axis=1)]
    assert good_rows(answers["bytes/gender_label"]).tolist() == labels
    assert good_rows(answers["bytes/gender_confidence"]) == pytest.approx(possible.max(axis=1), abs=1e-5)


def test_bad_picture_fails_its_own_row(answers):
    row = {
        name.removeprefix("bytes/"): answers[name][BAD]
        for name in answers
        if name.startswith("bytes/") and "none" not in name
    }
    assert row["error"] == b"this is not a picture in a known format: send JPEG or PNG"
    assert (row["label"], row["gender_label"]) == (b"", b"")
    assert row["top_labels"].tolist() == [b""] * 5
    numbers = ("confidence", "probabilities", "top_scores", "gender_confidence", "outside")
    assert not any(row[name].any() for name in numbers)
    assert row["decision"] == row["label_set"] == b""


def test_decision_follows_from_outside_and_confidence(answers, expected):
    outside = good_rows(answers["bytes/outside"])
    assert outside == pytest.approx(expected[3][:, 0], rel=1e-4, abs=1e-4)
    confidences = good_rows(answers["bytes/confidence"])
    decisions = [RULES.thresholds.decide(*answer).encode() for answer in zip(outside, confidences, strict=True)]
    assert len(set(decisions)) > 1
    assert good_rows(answers["bytes/decision"]).tolist() == decisions
    confidences, thresholds = good_rows(answers["bytes/gender_confidence"]), replace(RULES.thresholds, confidence=0.9)
    decisions = [thresholds.decide(*answer).encode() for answer in zip(outside, confidences, strict=True)]
    assert good_rows(answers["bytes/gender_decision"]).tolist() == decisions


def test_label_set_holds_what_is_probable_enough_the_best_first(answers):
    probabilities = good_rows(answers["bytes/probabilities"])
    sets = label_sets(probabilities, np.float32(RULES.sets))
    assert 1 < sets.sum(axis=1).max() < 6
    for names, row, members in zip(good_rows(answers["bytes/label_set"]), probabilities, sets, strict=True):
        ranked = [place for place in np.argsort(-row) if members[place]]
        assert names.decode().split("\n") == [SIX.classes[place] for place in ranked]


@pytest.mark.parametrize(
    "output",
    ["label", "confidence", "probabilities", "top_labels", "top_scores", "outside", "decision", "label_set", "error"],
)
def test_examples_are_answered_as_bare_pictures_are(answers, output):
    left, right = answers[f"examples/{output}"], answers[f"bytes/{output}"]
    assert np.allclose(left, right, atol=1e-6) if left.dtype.kind == "f" else left.tolist() == right.tolist()


def test_a_name_is_a_second_witness_and_an_example_without_one_is_its_picture(answers, saved):
    names = (b"Clogs", b"", b"Clogs", b"- ?!", b"CLOGS 7")
    texts = zip(PICTURES, names, strict=True)
    examples = [serialize({"image_bytes": picture, "productDisplayName": name}) for picture, name in texts]
    named = tf.saved_model.load(str(saved)).signatures["examples"](examples=tf.constant(examples))
    plain = {name: answers[f"bytes/{name}"] for name in named}
    assert named["label"].numpy()[[0, 2, 4]].tolist() == [b"shoes", b"", b"shoes"]
    assert {b"shoes"} != set(plain["label"])
    for name in ("label", "probabilities", "gender_label", "decision"):
        assert np.array_equal(named[name].numpy()[[1, 2, 3]], plain[name][[1, 2, 3]]), name
    assert named["outside"].numpy() == pytest.approx(plain["outside"])


def test_embedding_is_the_normalised_feature_vector_and_zero_for_a_bad_picture(answers, expected):
    _, features, *_ = expected
    embedding = answers["embed/embedding"]
    assert np.linalg.norm(good_rows(embedding), axis=1) == pytest.approx(np.ones(4), abs=1e-5)
    assert good_rows(embedding) == pytest.approx(features / np.linalg.norm(features, axis=1)[:, None], abs=1e-5)
    assert not embedding[BAD].any()
    assert answers["embed/error"].tolist() == answers["bytes/error"].tolist()


def test_an_explanation_is_the_answer_and_the_heat_of_the_network(answers, expected):
    heat, plain = (
        answers["explain/heat"],
        {name for name in answers if name.startswith("bytes/") and "none" not in name},
    )
    assert good_rows(heat) == pytest.approx(expected[2], rel=1e-4, abs=1e-5)
    assert not heat[BAD].any()
    assert answers["explain/none/heat"].shape == (0, 1, 1)
    for name in plain:
        left, right = answers[name], answers[name.replace("bytes", "explain")]
        assert np.allclose(left, right, atol=1e-6) if left.dtype.kind == "f" else left.tolist() == right.tolist()


def test_what_a_log_asks_for_is_the_answer_and_keeps_distances_between_embeddings(answers):
    plain = [name.removeprefix("bytes/") for name in answers if name.startswith("bytes/")]
    for name in plain:
        left, right = answers[f"observed/{name}"], answers[f"bytes/{name}"]
        assert np.allclose(left, right, atol=1e-6) if left.dtype.kind == "f" else left.tolist() == right.tolist()
    projection, embedding = answers["observed/projection"], good_rows(answers["embed/embedding"])
    assert projection.shape == (len(PICTURES), 64)
    assert not projection[BAD].any()
    distances = [np.linalg.norm(rows[0] - rows[1:], axis=1) for rows in (good_rows(projection), embedding)]
    assert distances[0] == pytest.approx(distances[1], rel=0.4)


def test_decoded_pictures_are_answered_as_their_files_are(answers):
    assert answers["pixels/probabilities"] == pytest.approx(good_rows(answers["bytes/probabilities"]), abs=1e-6)
    assert answers["pixels/outside"][:, 0] == pytest.approx(good_rows(answers["bytes/outside"]), rel=1e-4, abs=1e-4)
    assert answers["pixels/embedding"] == pytest.approx(good_rows(answers["embed/embedding"]), abs=1e-6)


def test_evaluation_gets_the_probabilities_and_nothing_else(answers):
    assert [name for name in answers if name.startswith("evaluate/") and "none" not in name] == [
        "evaluate/probabilities"
    ]
    assert answers["evaluate/probabilities"] == pytest.approx(answers["bytes/probabilities"], abs=1e-6)


def test_true_labels_come_from_the_transform_graph_whatever_texts_are_missing(answers):
    assert answers["labels/label"].dtype == np.int64
    assert answers["labels/label"].tolist() == [1, 2, -1, -1, 0]
    assert answers["labels/gender_label"].tolist() == [1, -1, -1, -1, -1]
    assert not [name for name in answers if name.startswith("labels/") and not name.endswith("label")]


def test_empty_batch_is_answered_by_every_signature(answers):
    shapes = {name: answers[name].shape for name in answers if "/none/" in name}
    assert {shape[0] for shape in shapes.values()} == {0}
    assert shapes["bytes/none/probabilities"] == (0, 6)
    assert shapes["embed/none/embedding"] == (0, 1280)
    assert shapes["labels/none/label"] == (0,)


def test_a_copy_in_another_format_reads_the_numbers_as_the_model_itself_does(answers, saved):
    numbers = {name.removeprefix("pixels/"): answers[name] for name in answers if name.startswith("pixels/")}
    limits = {name: getattr(RULES.thresholds, name) for name in ("outside", "clear", "confidence")}
    tags = json.loads((saved / "assets.extra" / "tags.json").read_text())
    reading = Reading(SIX.classes, {**limits, "sets": RULES.sets, "tags": RULES.tags}, tags)
    read = {name: np.array(rows) for name, rows in reading.outputs(numbers, [""] * len(good_rows(PICTURES))).items()}
    assert {"gender_label", "gender_decision", "label_set", "outside"} <= read.keys()
    for name in read.keys() & {key.removeprefix("bytes/") for key in answers if key.startswith("bytes/")}:
        own = good_rows(answers[f"bytes/{name}"])
        if own.dtype.kind == "f":
            assert read[name] == pytest.approx(own, abs=1e-5)
        else:
            assert read[name].tolist() == np.char.decode(own.astype(bytes)).tolist()


def test_class_list_lies_in_the_model_in_label_order(saved):
    assert (saved / "assets.extra" / "labels.txt").read_text().splitlines() == list(SIX.classes)


def test_model_keeps_the_contract_that_it_is_held_to_before_it_is_published(saved):
    check_contract(Servable(saved), SIX.classes, [*drawn_pictures(), drawn(0)])
