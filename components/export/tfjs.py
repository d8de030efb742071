"""Converts a SavedModel to TensorFlow.js, with the runtime beside it.

python -m components.export.tfjs MODEL FOLDER

The last converter pins packages that exclude this TensorFlow, for kinds of models that are not read here. It does run
on it, so it is fetched without them.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from types import ModuleType

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from components.errors import ExportError
from components.export.browser import fetch_npm

CONVERTER = "tensorflowjs==4.22.0"
_SHA256 = "bd4deb1e7feab538ee7f2625fe85446742bb4765bebab345b534688ab41e3e1c"
_RUNTIME = {
    "@tensorflow/tfjs@4.22.0": (
        "0TrIrXs6/b7FLhLVNmfh8Sah6JgjBPH4mZ8JGb7NU6WW+cx00qK5BcAZxw7NCzxj6N8MRAIfHq+oNbPUNG5VAg==",
        ("tf.min.js",),
    ),
    "@tensorflow/tfjs-backend-wasm@4.22.0": (
        "/IYhReRIp4jg/wYW0OwbbJZG8ON87mbz0PgkiP3CdcACRSvUN0h8rvC0O3YcDtkTQtFWF/tcXq/KlVDyV49wmA==",
        ("tf-backend-wasm.min.js", "tfjs-backend-wasm.wasm", "tfjs-backend-wasm-simd.wasm",
         "tfjs-backend-wasm-threaded-simd.wasm"),
    ),
}  # fmt: skip
_OPTIONS = {"signature_def": "pixels", "use_structured_outputs_names": True, "weight_shard_size_bytes": 1 << 30}
_UNUSED = ("tensorflow_decision_forests", "tensorflow_hub", "jax", "jax.experimental", "jax.experimental.jax2tf")


def convert(model_dir: str, folder: Path) -> None:
    """Fills a folder: `model.json`, its weights, the runtime, and `answer.js`, which has Node.js run it.

    Raises:
        ExportError: converter or runtime cannot be fetched.
    """
    with tempfile.TemporaryDirectory() as work:
        save_pixels(model_dir, f"{work}/model")
        _fetch_converter(Path(work))
        assert keras.layers  # all that looks for JAX has to be loaded before there seems to be one
        sys.modules |= {name: ModuleType(name) for name in _UNUSED}
        sys.modules["jax.experimental"].jax2tf = None  # type: ignore[attr-defined]
        from tensorflowjs.converters.tf_saved_model_conversion_v2 import convert_tf_saved_model

        convert_tf_saved_model(f"{work}/model", str(folder), **_OPTIONS)
    for package, (digest, names) in _RUNTIME.items():
        fetch_npm("tfjs", package, digest, names, folder)
    (folder / "answer.js").write_bytes(Path(__file__).with_name("answer.js").read_bytes())


def save_pixels(model_dir: str, folder: str) -> None:
    """Saves the signature `pixels` alone, as one graph: the converter refuses whatever else a model can do."""
    model = tf.saved_model.load(model_dir)  # kept: its variables go with it
    signature = model.signatures["pixels"]
    frozen = convert_variables_to_constants_v2(signature, aggressive_inlining=True)
    graph = frozen.graph.as_graph_def()
    graph.ClearField("library")
    spec, fetches = frozen.inputs[0], [tensor.name for tensor in frozen.outputs]

    def answer(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = tf.graph_util.import_graph_def(graph, {spec.name: pixels}, fetches, name="")
        return dict(zip(sorted(signature.structured_outputs), outputs, strict=True))

    module = tf.Module()
    module.answer = tf.function(answer, input_signature=[tf.TensorSpec(spec.shape, spec.dtype, "pixels")])
    tf.saved_model.save(module, folder, signatures={"pixels": module.answer})


def _fetch_converter(work: Path) -> None:
    """Unpacks the converter where this process imports it from."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(work), CONVERTER]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheel = next(work.glob("*.whl"), None)
    if done.returncode or wheel is None:
        raise ExportError(f"tfjs: pip cannot fetch {CONVERTER}. Give it an index that has it.")
    if hashlib.sha256(wheel.read_bytes()).hexdigest() != _SHA256:
        raise ExportError(f"tfjs: {CONVERTER} is another file than the one this release is made for.")
    zipfile.ZipFile(wheel).extractall(work)
    sys.path.insert(0, str(work))


if __name__ == "__main__":
    convert(sys.argv[1], Path(sys.argv[2]))
