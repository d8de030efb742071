"""What a report is made of, in small: pictures, the answers of a model and the folders of a run."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from components.report.sources import Folders, Plan, Sources

CLASSES = ("topwear", "shoes", "eyewear")


def jpeg(width: int = 6, height: int = 8, seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def answers(count: int = 400, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    logits = random.normal(size=(count, classes)) + 2 * np.eye(classes)[labels]
    powers = np.exp(logits)
    return labels, (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def sources(**folders: Path) -> Sources:
    return Sources("r", "six_class", 0.0, None, Plan(), Folders(**folders), ())
