"""A bundle of a network so small that numpy says what it has to answer."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from fashion_client.pixels import read_pixels

from components.export.bundle import Golden, Original, write_bundle
from components.export.convert import run_module
from components.export.golden import draw_pictures
from components.export.parity import Parity

SIZE, LABELS = 32, ("shirts", "shoes", "hats", "bags")
PARITY = Parity(100, 1.0, 1.0, 1.0, 0.99, 0.99, 0, 0, "bags", 0.97, "bags", 0.0)
LIMITS = (SIZE, 40_000_000, 100_000_000)
DECIDE = {"outside": 65.0, "clear": 55.0, "confidence": 0.4, "sets": [0.2, 0.2, 0.2, 0.3], "tags": {"colour": 0.6}}
ALLOWED = [[1, 0, 1], [1, 1, 1], [0, 1, 1], [1, 1, 0]]  # colours of each class
TAGS = [{"column": "colour", "labels": ["red", "green", "blue"], "finer": 0, "allowed": ALLOWED}]


def weights() -> np.ndarray:
    return np.random.default_rng(3).normal(size=(SIZE * SIZE * 3, len(LABELS))).astype(np.float32) * 2


def answer(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """What the network makes of pixels uint8 [n, s, s, 3]: themselves as embedding, and what follows."""
    flat = pixels.reshape(len(pixels), -1).astype(np.float32) - 128
    embedding = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    scores = np.exp(embedding @ weights())
    probabilities, outside = scores / scores.sum(axis=1, keepdims=True), flat.mean(axis=1, keepdims=True)
    colours = np.exp(embedding @ weights()[:, :3])
    colours /= colours.sum(axis=1, keepdims=True)
    return {"probabilities": probabilities, "embedding": embedding, "outside": outside, "colour_probabilities": colours}


def write_network(file: Path, channels: Sequence[int] = (0, 1, 2)) -> None:
    """Writes the network as ONNX; `channels` is the order in which it takes the colours."""
    node, constant = onnx.helper.make_node, onnx.numpy_helper.from_array
    nodes = [
        node("Cast", ["pixels"], ["float"], to=onnx.TensorProto.FLOAT),
        node("Gather", ["float", "channels"], ["ordered"], axis=3),
        node("Flatten", ["ordered"], ["flat"]),
        node("Sub", ["flat", "middle"], ["centred"]),
        node("ReduceMean", ["centred", "axes"], ["outside"]),
        node("LpNormalization", ["centred"], ["embedding"], axis=1, p=2),
        node("MatMul", ["embedding", "dyes"], ["colour_logits"]),
        node("Softmax", ["colour_logits"], ["colour_probabilities"], axis=1),
        node("MatMul", ["embedding", "weights"], ["logits"]),
        node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    constants = [
        constant(np.array(channels, np.int64), "channels"),
        constant(np.array([1], np.int64), "axes"),
        constant(np.float32(128), "middle"),
        constant(weights(), "weights"),
        constant(weights()[:, :3], "dyes"),
    ]
    value, kinds = onnx.helper.make_tensor_value_info, onnx.TensorProto
    graph = onnx.helper.make_graph(
        nodes, "network", [value("pixels", kinds.UINT8, ["n", SIZE, SIZE, 3])],
        [value("probabilities", kinds.FLOAT, ["n", len(LABELS)]), value("embedding", kinds.FLOAT, ["n", None]),
         value("outside", kinds.FLOAT, ["n", 1]), value("colour_probabilities", kinds.FLOAT, ["n", 3])],
        constants,
    )  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, str(file))


def right_road(data: bytes) -> np.ndarray:
    return read_pixels(data, *LIMITS)


def write_drawn(folder: Path, channels: Sequence[int] = (0, 1, 2), form: str = "onnx", road=right_road) -> Path:
    """Writes a bundle whose golden answers are the network's to the pixels of `road`, whatever its file answers."""
    file = folder.with_name("network") / "model.onnx"
    file.parent.mkdir(exist_ok=True)
    write_network(file, channels)
    if form == "openvino":
        file, network = folder.with_name("converted") / "model.xml", file
        file.parent.mkdir()
        run_module(form, "components.export.openvino", str(network), str(file))
    original = Original("drawn", 7, "0" * 64, LABELS, *LIMITS, decide=DECIDE, tags=TAGS)
    files = draw_pictures()
    pixels = np.stack([road(data) for data in files.values()])
    write_bundle(folder, file, form, original, Golden(files, pixels, answer(pixels)), PARITY, {})
    return folder


def results(bundle: Path, road, labels: Sequence[str] = LABELS) -> dict[str, dict[str, object]]:
    """What a runtime answers to a bundle's golden pictures that has its own road to the pixels."""
    found = {}
    for file in sorted(bundle.glob("golden/??.???")):
        answers = answer(np.asarray(road(file.read_bytes()))[np.newaxis])
        scores = dict(zip(labels, answers["probabilities"][0].tolist(), strict=True))
        embedding = answers["embedding"][0].tolist()
        found[file.name] = {"label": max(scores, key=scores.get), "probabilities": scores, "embedding": embedding}
    return found
