"""A model is fit to be served only if every signature takes and answers what clients are promised."""

import pytest

from tests.publish.toy import LABELS, save_toy


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
    ("serving_default", lambda tf, a: {"label": a["label"] + "s"}, "s' is none of the classes"),
    ("serving_default", lambda tf, a: {"top_scores": a["top_scores"][:, ::-1]}, "top_scores are not the highest"),
    ("serving_default", lambda tf, a: {"top_labels": a["top_labels"][:, ::-1]}, "top_labels do not belong to"),
    ("serving_default", lambda tf, a: {"top_labels": tf.repeat(a["top_labels"][:, :1], 5, axis=1)}, "repeat a class"),
    ("serving_default", lambda tf, a: {"label": a["label"] + a["error"]}, "has the label 'not a picture' beside"),
    ("serving_default", lambda tf, a: {"confidence": a["confidence"] + tf.cast(a["error"] != "", tf.float32)},
     "an empty string: has confidence beside its error"),
    ("examples", lambda tf, a: {"decision": None}, "examples: gives no decision"),
    ("serving_default", lambda tf, a: {"outside": a["outside"] * float("inf")}, "outside is not finite"),
    ("serving_default", lambda tf, a: {"decision": a["decision"] + "ed"}, "decision is 'accepted'"),
    ("serving_default", lambda tf, a: {"decision": a["decision"] + a["error"]}, "has the decision 'not a picture'"),
    ("serving_default", lambda tf, a: {"label_set": a["top_labels"][:, 1]}, "does not begin with the most probable"),
    ("serving_default", lambda tf, a: {"label_set": a["label"] + "\n" + a["label"]}, "label_set repeats a class"),
    ("serving_default", lambda tf, a: {"label_set": a["label"] + "\nsocks"}, "label_set names what is none of"),
    ("examples", lambda tf, a: {"gender_label": a["label"]}, "examples: gives no gender_confidence"),
    ("serving_default", lambda tf, a: {"gender_label": a["label"], "gender_confidence": a["confidence"] * 9},
     "gender_label is '"),
    ("serving_default", lambda tf, a: {"gender_label": a["label"] + a["error"], "gender_confidence": a["confidence"]},
     "has the gender label 'not a picture' beside its error"),
    ("serving_default", lambda tf, a: {"error": tf.zeros_like(a["error"])}, "an empty string is taken for a picture"),
    ("serving_default", lambda tf, a: {"error": a["error"] + "blurred"}, "picture 0 is refused: blurred"),
    ("serving_default", lambda tf, a: guarded(tf, a, tf.reduce_all(a["error"] == "")), "fails on a batch of 7"),
    ("examples", lambda tf, a: guarded(tf, a, tf.size(a["error"]) > 0), "examples: fails on a batch of 0"),
    ("examples", flatter, "examples: picture 0 is answered otherwise than by serving_default"),
    ("explain", flatter, "explain: picture 0 is answered otherwise than by serving_default"),
    ("explain", lambda tf, a: {"heat": a["top_scores"]}, "heat is float32 (None, 5); it has to be float32 of rank 3"),
    ("embed", lambda tf, a: {"embedding": a["embedding"] * 3}, "embed: picture 0: the embedding has norm 3.0000"),
    ("embed", lambda tf, a: {"embedding": tf.math.l2_normalize(a["embedding"] + tf.reduce_mean(a["embedding"], 0), 1)},
     "embed: picture 0 is answered otherwise beside bad pictures than alone"),
]  # fmt: skip


def breach_of(model_dir, pictures=(), labels=LABELS):
    from serving.contract import ContractBroken, check_contract, drawn_pictures
    from serving.server.servable import Servable

    with pytest.raises(ContractBroken) as caught:
        check_contract(Servable(model_dir), labels, [*drawn_pictures(), *pictures])
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
def test_model_of_other_classes_is_refused(toy):
    assert "has shape [1, 6]; it has to be [1, 7]" in breach_of(toy, labels=(*LABELS, "hats"))


@pytest.mark.slow
def test_model_is_asked_about_the_pictures_given(toy):
    assert "picture 3 is refused: not a picture" in breach_of(toy, [b"a word"])
