"""Which other formats a model is published in, and how near to it each has to be."""

from pathlib import Path
from typing import Literal, get_args

from pydantic import Field

from components.settings import Count, Settings, Share

Format = Literal["litert", "litert-fp16", "litert-int8", "onnx", "web", "openvino", "tfjs"]
FORMATS: tuple[Format, ...] = get_args(Format)


class Export(Settings):
    """Other formats of a published model, each with the limits that keep it from being published."""

    formats: tuple[Format, ...] = Field(strict=False, min_length=1, description=f"any of {', '.join(FORMATS)}")
    calibration: Count = Field(
        default=50, description="training pictures of each class that int8 finds its ranges on, at most"
    )
    same: Share = Field(
        default=0.999, description="share of the test split with the model's own label, at least; not of int8"
    )
    cosine: Share = Field(default=0.999, description="of each embedding to the model's own, at least; not of int8")
    accuracy: Share = Field(default=0.003, description="largest loss of accuracy")
    recall: Share = Field(default=0.01, description="largest loss of a class's recall")
    keep: Count = Field(default=5, description="newest versions kept of each format")


def copies_of(store: Path) -> Path:
    """The folder of a model's copies, beside the serving folder: `<root>/exports/<model>`."""
    return store.parents[1] / "exports" / store.name
