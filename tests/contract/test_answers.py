"""What the published model answers through a server: the same over both protocols, row by row."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

from tests.contract.asking import Asking, Which

pytestmark = pytest.mark.slow

SAME = 1e-5
ANSWER = {"label", "confidence", "probabilities", "top_labels", "top_scores", "error"}


def example(picture: bytes) -> bytes:
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[picture]))
    return tf.train.Example(features=tf.train.Features(feature={"image_bytes": feature})).SerializeToString()


def test_answer_has_all_outputs_of_the_signature_in_their_shapes(ask: Asking, pictures):
    answer = ask.predict({"image_bytes": pictures[:3]})
    assert set(answer) == ANSWER
    classes = answer["probabilities"].shape[1]
    assert answer["probabilities"].shape == (3, classes)
    assert answer["probabilities"].sum(axis=1) == pytest.approx(1, abs=1e-3)
    assert answer["top_labels"].shape == answer["top_scores"].shape == (3, min(5, classes))
    assert answer["label"].tolist() == answer["top_labels"][:, 0].tolist()
    assert answer["confidence"] == pytest.approx(answer["probabilities"].max(axis=1), abs=SAME)
    assert answer["error"].tolist() == [""] * 3


def test_bad_picture_fails_its_row_and_no_other(ask: Asking, pictures):
    good = ask.predict({"image_bytes": pictures[:2]})
    mixed = ask.predict({"image_bytes": [pictures[0], b"no picture", pictures[1]]})
    assert mixed["error"].tolist()[::2] == ["", ""]
    assert mixed["error"][1] != ""
    assert mixed["label"][1] == ""
    assert mixed["confidence"][1] == 0
    assert mixed["probabilities"][::2] == pytest.approx(good["probabilities"], abs=SAME)


def test_batch_is_answered_in_its_order(ask: Asking, pictures):
    together = ask.predict({"image_bytes": pictures})
    assert len({tuple(row) for row in together["probabilities"].tolist()}) == len(pictures)
    for number in (0, 17, 39):
        alone = ask.predict({"image_bytes": [pictures[number]]})
        assert together["probabilities"][number] == pytest.approx(alone["probabilities"][0], abs=SAME)


def test_examples_are_answered_as_their_pictures(ask: Asking, pictures):
    by_picture = ask.predict({"image_bytes": pictures[:3]})
    by_example = ask.predict({"examples": [example(p) for p in pictures[:3]]}, Which(signature="examples"))
    assert by_example["probabilities"] == pytest.approx(by_picture["probabilities"], abs=SAME)
    assert by_example["label"].tolist() == by_picture["label"].tolist()


def test_embeddings_have_length_one(ask: Asking, pictures):
    answer = ask.predict({"image_bytes": pictures[:3]}, Which(signature="embed"))
    assert set(answer) == {"embedding", "error"}
    assert np.linalg.norm(answer["embedding"], axis=1) == pytest.approx(1, abs=1e-3)


def test_empty_batch_has_an_empty_answer(ask: Asking):
    answer = ask.predict({"image_bytes": []})
    assert {name: len(values) for name, values in answer.items()} == dict.fromkeys(ANSWER, 0)


def test_both_protocols_give_the_same_answer(rest, grpc, pictures):
    for signature in ("", "embed"):
        over_rest = rest.predict({"image_bytes": pictures[:5]}, Which(signature=signature))
        over_grpc = grpc.predict({"image_bytes": pictures[:5]}, Which(signature=signature))
        assert set(over_rest) == set(over_grpc)
        for name, values in over_rest.items():
            if values.dtype.kind == "U":
                assert values.tolist() == over_grpc[name].tolist()
            else:
                assert values == pytest.approx(over_grpc[name], abs=SAME)


def test_concurrent_clients_get_each_their_own_answer(ask: Asking, pictures):
    expected = ask.predict({"image_bytes": pictures})["probabilities"]

    def one(number: int) -> tuple[int, np.ndarray]:
        return number, ask.predict({"image_bytes": [pictures[number]]})["probabilities"][0]

    with ThreadPoolExecutor(8) as pool:
        for number, probabilities in pool.map(one, [*range(40)] * 2):
            assert probabilities == pytest.approx(expected[number], abs=SAME)
