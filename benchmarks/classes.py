"""What does the evaluation cost as the classes grow, beside a baseline?

    python -m benchmarks.classes

TFX's own Evaluator is run on drawn answers of two models, ten test pictures of each class: no picture is decoded, so
that what is measured is the evaluation alone, and what it writes. Then the verdict is read.
"""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import apart, gigabytes, parser_of, peak_memory, reset_peak, say, scratch, show
from components.evaluate.settings import Gate

_CLASSES, _QUICK = (10, 100, 1000), (10, 20)
_EACH, _RIGHT, _MODELS = 10, 0.93, ("candidate", "baseline")
_GATE = Gate(support=5)


def evaluate(classes: int, folder: Path) -> tuple[float, float, int, int]:
    """Evaluates; returns the seconds of that and of reading the verdict, the bytes written and the peak memory."""
    from tfx.components.evaluator.executor import Executor
    from tfx.types import standard_artifacts
    from tfx.utils import proto_utils

    from components.evaluate.config import eval_config
    from components.evaluate.verdict import read_verdict
    from pipeline.beam import Beam, beam_args

    write_examples(classes, folder / "data" / "Split-test")
    kinds = {"data": "Examples", "evaluation": "ModelEvaluation", "blessing": "ModelBlessing"}
    artifacts = {name: getattr(standard_artifacts, kinds.get(name, "Model"))() for name in (*kinds, *_MODELS)}
    for name, artifact in artifacts.items():
        artifact.uri = str(folder / name)
    for name in _MODELS:
        save_model(name, classes, folder / name / "Format-Serving")
    artifacts["data"].split_names = json.dumps(["test"])
    names = tuple(f"class {number}" for number in range(classes))
    config = proto_utils.proto_to_json(eval_config(names, _GATE))
    reset_peak()
    began = time.perf_counter()
    Executor(Executor.Context(beam_pipeline_args=beam_args(Beam()), tmp_dir=str(folder))).Do(
        {"examples": [artifacts["data"]], "model": [artifacts["candidate"]], "baseline_model": [artifacts["baseline"]]},
        {name: [artifacts[name]] for name in ("evaluation", "blessing")},
        {"eval_config": config, "example_splits": json.dumps(["test"])},
    )
    evaluated = time.perf_counter()
    blessed = artifacts["blessing"].get_int_custom_property("blessed") == 1
    read_verdict(folder / "evaluation", blessed, names, _GATE)
    written = sum(file.stat().st_size for file in (folder / "evaluation").rglob("*") if file.is_file())
    return evaluated - began, time.perf_counter() - evaluated, written, peak_memory()


def write_examples(classes: int, folder: Path) -> None:
    """Writes test examples that hold what both models call them in place of a picture."""
    import tensorflow as tf

    random = np.random.default_rng(1)
    folder.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(folder / "examples.tfrecord")) as out:
        for label in np.repeat(np.arange(classes), _EACH).tolist():
            calls = {name: label if random.random() < _RIGHT else random.integers(classes) for name in _MODELS}
            features = {
                name: tf.train.Feature(int64_list={"value": [value]})
                for name, value in {"truth": label, **calls}.items()
            }
            for name, values in (("gender", ("Men", "Women", "Unisex")), ("season", ("Summer", "Fall", "Winter"))):
                features[name] = tf.train.Feature(bytes_list={"value": [str(random.choice(values)).encode()]})
            out.write(tf.train.Example(features={"feature": features}).SerializeToString())


def save_model(name: str, classes: int, folder: Path) -> None:
    """Saves a model that answers with what the examples say of it, more or less surely."""
    import tensorflow as tf

    examples = tf.TensorSpec([None], tf.string, "examples")
    spec = {feature: tf.io.FixedLenFeature([], tf.int64) for feature in (name, "truth")}

    @tf.function(input_signature=[examples])
    def answer(examples: Any) -> dict[str, Any]:
        call = tf.io.parse_example(examples, spec)[name]
        noise = tf.random.stateless_uniform([tf.shape(call)[0], classes], [1, 2])
        return {"probabilities": tf.nn.softmax(noise + 8 * tf.one_hot(call, classes))}

    @tf.function(input_signature=[examples])
    def truth(examples: Any) -> dict[str, Any]:
        return {"label": tf.io.parse_example(examples, spec)["truth"]}

    tf.saved_model.save(tf.Module(), str(folder), signatures={"evaluate": answer, "transform_features": truth})


def main() -> None:
    """Evaluates and prints."""
    options = parser_of(__doc__, 1).parse_args()
    rows = []
    for classes in _QUICK if options.quick else _CLASSES:
        say(f"{classes} classes")
        with scratch() as folder:
            seconds, reading, written, peak = apart(evaluate, classes, folder)
        figures = f"{seconds:.0f} s", f"{reading:.1f} s", f"{written / 1e6:.1f} MB", gigabytes(peak)
        rows.append([f"{classes:,}", f"{classes * _EACH:,}", *figures])
    columns = ("classes", "pictures", "evaluation", "reading", "written", "peak memory")
    show("The Evaluator, with a baseline", columns, rows, "Target: 1,000 classes within a minute.")


if __name__ == "__main__":
    main()
