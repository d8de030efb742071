"""What network a recipe asks for."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.networks.profiles import PROFILES
from components.settings import Settings

Backbone = Literal[
    "efficientnet_b0", "efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "efficientnet_v2m",
    "nasnet_large", "resnet18", "resnet50", "xception", "inception_v3", "densenet201", "vit_tiny", "cnn",
    "resnet_small",
]  # fmt: skip


class Model(Settings):
    """The network."""

    backbone: Backbone = Field(default="efficientnet_b0", description="the network below the head")
    weights: Annotated[str, Field(min_length=1)] = Field(
        default="imagenet",
        description="imagenet, efficientnet_lite0, none, a weights file, or the folder of a published model",
    )
    front: Literal["none", "edgenet"] = Field(default="none", description="what stands before the backbone")
    dropout: Annotated[float, Field(ge=0, lt=1, description="share of features left out before the head")] = 0.2
    text: Literal["productDisplayName"] | None = Field(
        default=None, description="column whose words are a second witness, where an example has them"
    )
    test_time_flip: bool = Field(
        default=False, description="answers are the mean over a picture and its mirror image, for twice the work"
    )

    @model_validator(mode="after")
    def _has_weights(self) -> Self:
        if self.weights in ("imagenet", "efficientnet_lite0") and not PROFILES[self.backbone].starts:
            raise ValueError(f"there are no pretrained weights for {self.backbone}; set weights to none")
        return self
