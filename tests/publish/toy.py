"""A model small enough to be saved for every test, which keeps the contract but for what a test breaks."""

import pytest

LABELS = ("topwear", "underwear", "jewelry", "fragrances", "shoes", "eyewear")
LABELS_TXT = "".join(f"{label}\n" for label in LABELS)


def save_toy(folder, broken="", tweak=lambda tf, outputs: {}, takes="", rows=None, left_out=""):
    """Saves a small model that keeps the contract, but for what is changed of the signature `broken`."""
    import tensorflow as tf

    def whole(picture):
        """Whether a picture has both ends of a JPEG or a PNG."""
        padded = tf.strings.join(["....", picture, "...."])
        ends = tf.strings.substr(padded, 4, 2) + tf.strings.substr(tf.strings.join(["....", picture]), -2, 2)
        return (ends == b"\xff\xd8\xff\xd9") | (ends == b"\x89P\x60\x82")

    def infer(pictures):
        fine = whole(pictures)
        seeds = [tf.strings.to_hash_bucket_fast(pictures + label, 1000) for label in LABELS]
        probabilities = tf.nn.softmax(tf.cast(tf.stack(seeds, axis=1), tf.float32) / 100)
        kept = probabilities * tf.cast(fine, tf.float32)[:, tf.newaxis]
        return kept, tf.where(fine, "", "not a picture")

    def answer(pictures):
        probabilities, error = infer(pictures)
        scores, indices = tf.math.top_k(probabilities, k=5)
        names = tf.where((error == "")[:, tf.newaxis], tf.gather(tf.constant(LABELS), indices), "")
        best = {"label": names[:, 0], "confidence": scores[:, 0], "probabilities": probabilities}
        decided = {"outside": scores[:, 1], "decision": tf.where(error == "", "accept", ""), "label_set": names[:, 0]}
        return best | decided | {"top_labels": names, "top_scores": scores, "error": error}

    def examples(serialized):
        spec = {"image_bytes": tf.io.FixedLenFeature([], tf.string, default_value="")}
        return answer(tf.io.parse_example(serialized, spec)["image_bytes"])

    def embed(pictures):
        probabilities, error = infer(pictures)
        return {"embedding": tf.math.l2_normalize(probabilities, axis=1), "error": error}

    def explain(pictures):
        answered = answer(pictures)
        return {**answered, "heat": tf.reshape(answered["probabilities"], [-1, 2, 3])}

    def observe(pictures):
        answered = answer(pictures)
        return {**answered, "projection": tf.repeat(answered["probabilities"][:, :1], 64, axis=1)}

    def signature(name, function, argument):
        changed = name == broken
        spec = tf.TensorSpec([rows if changed else None], tf.string, name=(changed and takes) or argument)

        def asked(fed):
            outputs = function(fed)
            outputs |= tweak(tf, outputs) if changed else {}
            return {key: value for key, value in outputs.items() if value is not None}

        return tf.function(asked, input_signature=[spec])

    signatures = {
        "serving_default": signature("serving_default", answer, "image_bytes"),
        "examples": signature("examples", examples, "examples"),
        "embed": signature("embed", embed, "image_bytes"),
        "explain": signature("explain", explain, "image_bytes"),
        "observe": signature("observe", observe, "image_bytes"),
    }
    signatures.pop(left_out, None)
    module = tf.Module()
    module.signatures_kept = signatures
    tf.saved_model.save(module, str(folder), signatures=signatures)
    (folder / "assets.extra").mkdir()
    (folder / "assets.extra" / "labels.txt").write_text(LABELS_TXT)
    return folder


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    return save_toy(tmp_path_factory.mktemp("toy") / "model")
