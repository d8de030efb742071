"""A bundle: one file of a model, and what a program needs to ask it rightly and to find out that it does not."""

import io
import json
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from fashion_client.local import DESCRIPTION, GOLDEN, LABELS, PREPROCESS, ROAD, digest_of
from fashion_client.reading import Arrays
from PIL import Image

from components.export.parity import QUANTISED, Parity

# What answers to a golden picture may differ by from those in golden.json: cosine at least, probability at most.
# Whole numbers are rounded in another way by each processor; their golden answers are the file's own.
_NEAR, _FARTHER = (0.999, 1e-3), {"litert-fp16": (0.999, 1e-2), "litert-int8": (0.99, 0.1)}
_RUNTIMES = {".onnx": "ONNX Runtime", ".tflite": "LiteRT", ".xml": "OpenVINO", ".json": "TensorFlow.js"}
_CARD = """# {model} {version}, {form}

A copy of the image classifier `{model}`, version {version} (digest {digest}), for {runtime}: it takes pixels
`uint8 [n, {size}, {size}, 3]` and gives `probabilities [n, {classes}]` in the order of labels.txt, and `embedding`.

| on {examples:,} pictures nobody trained on | the model | this copy |
|---|---|---|
| accuracy | {model_accuracy:.2%} | {accuracy:.2%} |
| worst class | | {worst_recall:.1%} ({worst_class}) |
| same answer | | {same:.2%} |
| embedding, cosine to the model's: mean, lowest | | {mean_cosine:.4f}, {cosine:.4f} |

The road to the pixels is part of the model; preprocess.json says it. The usual traps are a picture that Exif wants
turned, BGR for RGB, a resize without antialias, and numbers scaled to 0..1. Answers of any runtime to the pictures in
golden/ can be held against the model's: `fashion export verify RESULTS.json --bundle DIR`.

    import fashion_client.local
    client = fashion_client.local.local("DIR")
    print(client.predict(["shoe.jpg"]))

The weights may be used as the pictures that they were trained on allow; the code is under the Apache License 2.0.
"""


@dataclass(frozen=True)
class Original:
    """The model that copies are made of."""

    name: str  # as clients call it
    version: int  # its number
    digest: str  # of its files
    labels: tuple[str, ...]  # the class names, in the order of the probabilities
    size: int  # side of its input, pixels
    max_pixels: int  # of a picture
    max_bytes: int  # that decoding one may take
    decide: Mapping[str, Any] | None = None  # content of its `decide.json`; None of a model that does not decide
    tags: Sequence[Mapping[str, Any]] = ()  # content of its `tags.json`


@dataclass(frozen=True)
class Golden:
    """Drawn pictures: name to file, their pixels uint8 [n, size, size, 3], and the answers to them."""

    files: Mapping[str, bytes]
    pixels: np.ndarray
    answers: Arrays


def write_bundle(
    folder: Path, file: Path, form: str, original: Original, golden: Golden, parity: Parity, made: Mapping[str, str]
) -> None:
    """Fills a folder, which is made.

    Args:
        folder: of the bundle.
        file: the model in its other format, in a folder that is copied as it is; it gets its labels.
        form: the format.
        original: the model.
        golden: the golden pictures, with the answers that this file is held to.
        parity: how near the copy is.
        made: by what: recorded, so that the same need not be made again.
    """
    shutil.copytree(file.parent, folder, dirs_exist_ok=True)
    (folder / "golden").mkdir()
    target = folder / file.name
    labels = "".join(f"{label}\n" for label in original.labels)
    _add_labels(target, labels, original)
    described = {
        "format": form, "file": target.name, "model": original.name, "version": original.version,
        "digest": original.digest, "sha256": digest_of(target), "made": dict(made),
        "parity": parity.as_dict(), "decide": original.decide, "tags": list(original.tags),
    }  # fmt: skip
    road = {"size": original.size, **ROAD, "max_pixels": original.max_pixels, "max_bytes": original.max_bytes}
    documents = {DESCRIPTION: described, PREPROCESS: road, GOLDEN: _golden(form, original, golden)}
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document, indent=None if name == GOLDEN else 2) + "\n", encoding="utf-8")
    (folder / LABELS).write_text(labels, encoding="utf-8")
    for (name, content), pixels in zip(golden.files.items(), golden.pixels, strict=True):
        (folder / "golden" / name).write_bytes(content)
        Image.fromarray(pixels).save(folder / "golden" / f"{Path(name).stem}.pixels.png")
    whole: dict[str, Any] = {**described, **parity.as_dict(), "size": original.size, "classes": len(original.labels)}
    (folder / "README.md").write_text(
        _CARD.format(form=form, runtime=_RUNTIMES[file.suffix], **whole), encoding="utf-8"
    )


def _golden(form: str, original: Original, golden: Golden) -> dict[str, Any]:
    cosine, probability = _FARTHER.get(form, _NEAR)
    pictures = {}
    for row, name in enumerate(golden.files):
        scores = [round(float(score), 6) for score in golden.answers["probabilities"][row]]
        pictures[name] = {
            "label": original.labels[int(np.argmax(scores))],
            "probabilities": dict(zip(original.labels, scores, strict=True)),
            "embedding": [round(float(value), 6) for value in golden.answers["embedding"][row]],
        }
    origin = "this file" if form in QUANTISED else "the model"
    return {"answers_of": origin, "cosine": cosine, "probability": probability, "pictures": pictures}


def _add_labels(file: Path, labels: str, original: Original) -> None:
    """Puts the class names into the file itself, where its tools look for them."""
    if file.suffix == ".onnx":
        import onnx

        model = onnx.load(str(file))
        about = {"labels": labels, "model": f"{original.name}/{original.version}", "digest": original.digest}
        onnx.helper.set_model_props(model, about)
        onnx.save(model, str(file))
        return
    if file.suffix == ".xml":  # where OpenVINO's Model API looks
        root = (network := ElementTree.parse(file)).getroot()
        info = root.find("rt_info")
        held = ElementTree.SubElement(root, "rt_info") if info is None else info
        names = " ".join(label.replace(" ", "_") for label in original.labels)
        ElementTree.SubElement(ElementTree.SubElement(held, "model_info"), "labels", value=names)
        network.write(file)
        return
    if file.suffix == ".json":
        network = json.loads(file.read_text(encoding="utf-8"))
        file.write_text(json.dumps(network | {"userDefinedMetadata": {"labels": original.labels}}), encoding="utf-8")
        return
    # As the metadata of TensorFlow Lite has it: a zip behind the model, which its reader does not see.
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo(LABELS), labels)
    with file.open("ab") as end:
        end.write(packed.getvalue())
