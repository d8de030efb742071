"""A model is fit to be served only if every signature takes and answers what clients are promised."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import HOUSE
from tests.publish.toy import LABELS, LABELS_TXT, save_toy


def guarded(tf, outputs, condition):
    with tf.control_dependencies([tf.debugging.Assert(condition, ["cannot do this"])]):
        return {"error": tf.identity(outputs["error"])}


def flatter(tf, outputs):
    names = ("probabilities", "confidence", "top_scores")
    return {name: (outputs[name] + tf.sign(outputs[name]) / len(LABELS)) / 2 for name in names}


BREACHES = [
    ("serving_default", lambda tf, a: {"error": None}, "serving_default: gives no error"),
    ("serving_default", lambda tf, a: {"confidence": a["label"]}, "confidence is string (None,); it has to be float32"),
    ("serving_default", lambda tf, a: {"label": a["top_labels"]}, "label is string (None, 5); it has to be string of"),
    ("serving_default", lambda tf, a: {"probabilities": a["top_scores"]}, "has shape [1, 5]; it has to be [1, 6]"),
    ("serving_default", lambda tf, a: {"top_labels": a["top_labels"][:, :3]}, "has shape [1, 3]; it has to be [1, 5]"),
    ("examples", lambda tf, a: {"probabilities": a["probabilities"] * float("nan")}, "probabilities is not finite"),
    ("serving_default", lambda tf, a: {"probabilities": a["probabilities"] * 2}, "probabilities sum to 2.0000"),
    ("serving_default", lambda tf, a: {"probabilities": a["probabilities"] - 1}, "a probability is negative"),
    ("serving_default", lambda tf, a: {"confidence": a["confidence"] / 2}, "confidence is not the highest"),
    ("serving_default", lambda tf, a: {"label": a["top_labels"][:, 2]}, "which is not the most probable class"),
    ("serving_default", lambda tf, a: {"label": a["label"] + "s"}, "s' is not in assets.extra/labels.txt"),
    ("serving_default", lambda tf, a: {"top_scores": a["top_scores"][:, ::-1]}, "top_scores are not the highest"),
    ("serving_default", lambda tf, a: {"top_labels": a["top_labels"][:, ::-1]}, "top_labels do not belong to"),
    ("serving_default", lambda tf, a: {"top_labels": tf.repeat(a["top_labels"][:, :1], 5, axis=1)}, "repeat a class"),
    ("serving_default", lambda tf, a: {"label": a["label"] + a["error"]}, "has the label 'not a picture' beside"),
    ("serving_default", lambda tf, a: {"confidence": a["confidence"] + tf.cast(a["error"] != "", tf.float32)},
     "an empty string: has confidence beside its error"),
    ("serving_default", lambda tf, a: {"error": tf.zeros_like(a["error"])}, "an empty string is taken for a picture"),
    ("serving_default", lambda tf, a: {"error": a["error"] + "blurred"}, "picture 0 is refused: blurred"),
    ("serving_default", lambda tf, a: guarded(tf, a, tf.reduce_all(a["error"] == "")), "fails on a batch of 7"),
    ("examples", lambda tf, a: guarded(tf, a, tf.size(a["error"]) > 0), "examples: fails on a batch of 0"),
    ("examples", flatter, "examples: picture 0 is answered otherwise than by serving_default"),
    ("embed", lambda tf, a: {"embedding": a["embedding"] * 3}, "embed: picture 0: the embedding has norm 3.0000"),
    ("embed", lambda tf, a: {"embedding": tf.math.l2_normalize(a["embedding"] + tf.reduce_mean(a["embedding"], 0), 1)},
     "embed: picture 0 is answered otherwise beside bad pictures than alone"),
]  # fmt: skip


def breach_of(model_dir, pictures=()):
    from serving.verify import ContractBroken, drawn_pictures, verify

    with pytest.raises(ContractBroken) as caught:
        verify(model_dir, [*drawn_pictures(), *pictures])
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(("signature", "tweak", "answer"), BREACHES)
def test_wrong_answer_is_refused_by_name(tmp_path, signature, tweak, answer):
    assert answer in breach_of(save_toy(tmp_path / "toy", signature, tweak))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        ({"left_out": "embed"}, "embed: there is no such signature"),
        ({"broken": "serving_default", "takes": "images"}, "takes images; it has to take image_bytes alone"),
        ({"broken": "examples", "rows": 4}, "examples is string (4,); it has to be string [None]"),
    ],
)
def test_wrong_signature_is_refused_by_name(tmp_path, fault, answer):
    assert answer in breach_of(save_toy(tmp_path / "toy", **fault))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "content", "answer"),
    [
        ("saved_model.pb", None, "cannot be loaded"),
        ("saved_model.pb", b"not a graph", "cannot be loaded"),
        ("variables/variables.index", None, "cannot be loaded"),
        ("assets.extra/labels.txt", None, "labels.txt cannot be read"),
        ("assets.extra/labels.txt", b"\xff\n", "labels.txt cannot be read"),
        ("assets.extra/labels.txt", b"", "distinct class names"),
        ("assets.extra/labels.txt", b"shoes\nshoes\n", "distinct class names"),
        ("assets.extra/labels.txt", LABELS_TXT.encode() + b"hats\n", "has shape [1, 6]; it has to be [1, 7]"),
    ],
)
def test_damaged_file_is_refused_by_name(toy, tmp_path, name, content, answer):
    damaged = Path(shutil.copytree(toy, tmp_path / "toy"))
    (damaged / name).unlink()
    if content is not None:
        (damaged / name).write_bytes(content)
    assert answer in breach_of(damaged)


@pytest.mark.slow
def test_model_is_asked_about_the_pictures_given(toy):
    assert "picture 3 is refused: not a picture" in breach_of(toy, [b"a word"])


def verify_command(*arguments):
    command = [sys.executable, "-m", "serving.verify", *map(str, arguments)]
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"}
    return subprocess.run(command, cwd=HOUSE, env=quiet, capture_output=True, text=True)


@pytest.mark.slow
def test_verify_command_says_yes_or_why_not(toy, tmp_path):
    good = verify_command(toy)
    assert (good.returncode, good.stdout) == (0, f"{toy}: answers as promised, 6 classes\n"), good.stderr
    picture = tmp_path / "word.jpg"
    picture.write_bytes(b"a word")
    bad = verify_command(toy, "--pictures", picture)
    assert bad.returncode == 1
    assert bad.stderr.splitlines()[-1] == f"{toy}: serving_default: picture 3 is refused: not a picture"
