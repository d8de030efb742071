"""A model without a server and without TensorFlow: a bundle, asked by LiteRT, ONNX Runtime, OpenVINO or Node.js."""

import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from fashion_client.answers import EMBED, PREDICT, Metadata, Signature, TensorInfo, VersionStatus
from fashion_client.client import INPUT, Client
from fashion_client.errors import ClientError, ProtocolError
from fashion_client.formats import FormatError
from fashion_client.golden import find_faults
from fashion_client.options import Batches
from fashion_client.pixels import Pixels, read_pixels
from fashion_client.reading import Arrays, Reading

Runtime = Callable[[Pixels], Arrays]

DESCRIPTION, LABELS, PREPROCESS, GOLDEN = "bundle.json", "labels.txt", "preprocess.json", "golden.json"
_STRINGS = TensorInfo("string", (-1,))
_OUTPUTS = {
    PREDICT.signature: {
        "label": _STRINGS,
        "confidence": TensorInfo("float", (-1,)),
        "top_labels": TensorInfo("string", (-1, -1)),
        "top_scores": TensorInfo("float", (-1, -1)),
        "error": _STRINGS,
    },
    EMBED.signature: {"embedding": TensorInfo("float", (-1, -1)), "error": _STRINGS},
}
# The one road to the pixels that is built here.
ROAD = {"colours": "RGB", "shape": "squashed to a square", "filter": "bilinear", "antialias": True, "range": [0, 255],
         "exif": "turned upright", "transparency": "on white"}  # fmt: skip


class BundleError(ClientError):
    """A bundle cannot be loaded."""

    remedy = "Give a folder that `fashion export` has written, and is whole."


class Bundle(Client):
    """Asks a model's bundle in this process; see `Client`."""

    def __init__(self, folder: str | os.PathLike[str], batches: Batches | None = None) -> None:
        """Loads the model.

        Args:
            folder: holds `bundle.json`.
            batches: how much to ask at once.

        Raises:
            BundleError: it cannot be loaded, or the package that runs it is not installed.
        """
        super().__init__(os.fspath(folder), batches or Batches(parallel=1))
        self.folder, self._lock = Path(folder), Lock()
        try:
            described, road = self._read(DESCRIPTION), self._read(PREPROCESS)
            self._name, self._version = str(described["model"]), int(described["version"])
            self.labels = (self.folder / LABELS).read_text(encoding="utf-8").splitlines()
            self._reading = Reading(self.labels, described["decide"], described["tags"])
            self.size = int(road["size"])
            self._limits = self.size, int(road["max_pixels"]), int(road["max_bytes"])
            other = [key for key, value in ROAD.items() if road.get(key) != value]
            if other:
                raise ValueError(f"{PREPROCESS} has another {other[0]} than this client's: {road.get(other[0])}")
            file = self.folder / described["file"]
            if digest_of(file) != described["sha256"]:
                raise ValueError(f"{file.name} is not the file that {DESCRIPTION} describes")
            self._run = open_runtime(file)
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise BundleError(self.where, f"cannot be loaded: {error}") from error

    def status(self) -> list[VersionStatus]:
        return [VersionStatus(self._version, "AVAILABLE")]

    def metadata(self) -> Metadata:
        inputs = {INPUT: _STRINGS}
        return Metadata(self._name, self._version, {name: Signature(inputs, out) for name, out in _OUTPUTS.items()})

    def close(self) -> None:
        self._run = _closed

    def answer(self, pixels: Pixels) -> Arrays:
        """Asks about decoded pictures, uint8 [n, size, size, 3], n at least 1.

        Returns:
            What the file gives: `probabilities` float32 [n, k], `embedding` float32 [n, d], of length 1, and of a
            model that decides `outside` float32 [n, 1]; probabilities of tags are `<column>_probabilities`.
        """
        with self._lock:
            answer = self._run(pixels)
        # Whole numbers round its length too.
        return {**answer, "embedding": answer["embedding"] / np.linalg.norm(answer["embedding"], axis=1, keepdims=True)}

    def check(self) -> list[str]:
        """Answers the golden pictures; returns a sentence for each that is answered otherwise than by the model."""
        golden = self._read(GOLDEN)
        answers = {}
        for name in golden["pictures"]:
            pixels = read_pixels((self.folder / "golden" / name).read_bytes(), *self._limits)
            answers[name] = self._named(self.answer(pixels[np.newaxis]))
        return find_faults(golden, answers)

    def _read(self, name: str) -> dict[str, Any]:
        content = json.loads((self.folder / name).read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise TypeError(f"{name} is not an object")
        return content

    def _named(self, answer: Arrays) -> dict[str, Any]:
        [scores], [embedding] = answer["probabilities"].tolist(), answer["embedding"].tolist()
        probabilities = dict(zip(self.labels, scores, strict=True))
        best = max(probabilities, key=lambda label: probabilities[label])
        return {"label": best, "probabilities": probabilities, "embedding": embedding}

    def _outputs(self, signature: str, wants: Callable[[str], bool], pictures: Sequence[bytes]) -> Mapping[str, Any]:
        if signature not in _OUTPUTS:
            raise ProtocolError(self.where, f"a bundle has no signature '{signature}'")
        decoded, errors = [], []
        for data in pictures:
            try:
                decoded.append(read_pixels(data, *self._limits))
                errors.append("")
            except FormatError as error:
                decoded.append(np.zeros((self.size, self.size, 3), np.uint8))
                errors.append(str(error))
        outputs = self._reading.outputs(self.answer(np.stack(decoded)), errors)
        return {name: rows for name, rows in outputs.items() if wants(name)}


def local(folder: str | os.PathLike[str], batches: Batches | None = None) -> Bundle:
    """Makes a client for a bundle, see `Bundle`."""
    return Bundle(folder, batches)


def parts(file: Path) -> list[Path]:
    """A model's file and, for OpenVINO and TensorFlow.js, that of its weights."""
    return [file, *(sorted(file.parent.glob("*.bin")) if file.suffix in (".xml", ".json") else ())]


def digest_of(file: Path) -> str:
    """SHA-256 of a model's file and what belongs to it."""
    return hashlib.sha256(b"".join(part.read_bytes() for part in parts(file))).hexdigest()


def open_runtime(file: Path) -> Runtime:
    """Loads a `.tflite`, `.onnx`, `.xml` or `.json` file; what is returned runs it on uint8 [n, size, size, 3].

    Raises:
        BundleError: the package that runs it is not installed.
    """
    load, package = _RUNTIMES[file.suffix]
    try:
        return load(str(file))
    except ImportError as error:
        raise BundleError(str(file), f"{package} is not installed: pip install {package}") from error


def _load_litert(file: str) -> Runtime:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(file, num_threads=os.cpu_count()).get_signature_runner("pixels")
    return lambda pixels: dict(runner(pixels=pixels))


def _load_onnx(file: str) -> Runtime:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda pixels: dict(zip(names, session.run(names, {"pixels": pixels}), strict=True))


def _load_openvino(file: str) -> Runtime:
    import openvino

    # On some processors it would calculate in 16 bits otherwise.
    network = openvino.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda pixels: {output.any_name: values.copy() for output, values in network(pixels).items()}


class _Node:
    """TensorFlow.js in Node.js, a process of its own that `answer.js` speaks in."""

    def __init__(self, file: str) -> None:
        node = shutil.which("node")
        if node is None:
            raise BundleError(file, "node is not installed, which runs TensorFlow.js")
        command = [node, str(Path(file).with_name("answer.js"))]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, pixels: Pixels) -> Arrays:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(len(pixels).to_bytes(4, "little") + pixels.tobytes())
        self._process.stdin.flush()
        answer = {}
        for name, shape in json.loads(self._process.stdout.readline()):
            content = self._process.stdout.read(4 * math.prod(shape))
            answer[name] = np.frombuffer(content, np.float32).reshape(shape)
        return answer

    def __del__(self) -> None:
        if hasattr(self, "_process"):
            self._process.communicate()  # it ends with its input


_RUNTIMES: dict[str, tuple[Callable[[str], Runtime], str]] = {
    ".json": (_Node, "node"),
    ".tflite": (_load_litert, "ai-edge-litert"),
    ".onnx": (_load_onnx, "onnxruntime"),
    ".xml": (_load_openvino, "openvino"),
}


def _closed(pixels: Pixels) -> Arrays:
    raise ValueError("the client is closed")


def main() -> None:
    """Checks the bundle that is the only argument, in a process without TensorFlow."""
    faults = Bundle(sys.argv[1]).check()
    if "tensorflow" in sys.modules:
        faults.append("TensorFlow was imported")
    sys.exit("\n".join(faults) or 0)


if __name__ == "__main__":
    main()
