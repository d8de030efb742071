"""What the recipe of a published model says of the catalogues that it is asked about."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from components.errors import AnswerError
from components.index.settings import Index
from components.infra.settings import Serving
from components.ingest.settings import Labels, Layout, Picture


class ModelSettings(BaseModel):
    """The parts of a model's recipe that asking it takes."""

    picture: Picture = Picture()
    catalogue: Layout = Layout()
    index: Index | None = None
    serving: Serving = Serving()
    labels: Labels | None = None
    model: dict[str, Any] = {}

    @property
    def text(self) -> str:
        """Column that the model reads beside pictures; "" for none."""
        return str(self.model.get("text") or "")

    @property
    def answered(self) -> dict[str, str]:
        """Columns of a catalogue that the model answers, each with what the keys of its answer begin with."""
        main, further = (self.labels.column, self.labels.columns) if self.labels else (None, {})
        return {**({main: ""} if main else {}), **{column: f"{column}_" for column in further}}

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of its answers in further columns."""
        parts = ("label", "confidence", "decision")
        return tuple(f"{prefix}{part}" for prefix in self.answered.values() if prefix for part in parts)


def read_settings(model_dir: Path | None) -> ModelSettings:
    """Reads them from the recipe in a model's `assets.extra`; of a server's, or one without a recipe, the defaults.

    Raises:
        AnswerError: the recipe cannot be read.
    """
    if model_dir is None:
        return ModelSettings()
    recipe = model_dir / "assets.extra" / "recipe.yaml"
    try:
        return ModelSettings.model_validate(yaml.safe_load(recipe.read_text(encoding="utf-8")))
    except FileNotFoundError:  # a model that was not published by the pipeline
        return ModelSettings()
    except (OSError, ValueError, TypeError, yaml.YAMLError, ValidationError) as error:
        raise AnswerError(
            f"{recipe}: cannot be read ({error}). Publish the model again, or remove the file."
        ) from error
