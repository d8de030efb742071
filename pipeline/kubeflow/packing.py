"""How an experiment travels in a package: a recipe and the files it names as one text, so that they need no image."""

import base64
import binascii
import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from components.errors import RecipeError
from components.reading import explain
from components.transform.taxonomy import load_taxonomy
from components.validate.settings import find_schema
from pipeline.recipe import Recipe
from pipeline.textfile import read_text
from serving.disk import replacing

# Kubeflow takes 10,000 characters of parameters for a run, of all together (pipelines#12510); some are for paths.
PARAMETERS, _MOST = 10_000, 9_000
_COMPRESSED = "zlib:"


def is_packed(text: str) -> bool:
    """Whether a text is what `pack` writes, and not a recipe's name or path."""
    return text.startswith(("{", _COMPRESSED))


def pack(recipe: Recipe) -> str:
    """A recipe and the files that it names as JSON, on one line: kfp breaks packages whose texts have several.

    A long one is compressed, in base64.

    Raises:
        RecipeError: one of these files cannot be read, or they are too much for Kubeflow.
    """
    # Nulls too: without them `head: null` is lost.
    packed: dict[str, Any] = {"recipe": recipe.model_dump(mode="json")}
    if recipe.labels.taxonomy:
        taxonomy = load_taxonomy(recipe.labels.taxonomy)
        packed["recipe"]["labels"]["taxonomy"] = taxonomy.name
        packed["taxonomy"] = taxonomy.model_dump(mode="json", exclude_none=True)
    if recipe.validation.schema_file.endswith(".pbtxt"):  # one of the project's lies in every image
        schema = find_schema(recipe.validation.schema_file)
        packed["recipe"]["validation"]["schema_file"] = schema.name
        packed["schema"] = read_text("validation.schema_file", schema)
    if recipe.labels.corrections:
        file = Path(recipe.labels.corrections)
        packed["recipe"]["labels"]["corrections"] = file.name
        packed["corrections"] = read_text("labels.corrections", file)
    text = json.dumps(packed)
    if len(text) <= _MOST:
        return text
    short = _COMPRESSED + base64.b64encode(zlib.compress(text.encode(), 9)).decode()
    if len(short) > _MOST:
        sizes = {part: len(json.dumps(value)) for part, value in packed.items()}
        largest = max(sizes, key=lambda part: sizes[part])
        raise RecipeError(
            f"{recipe.name}: recipe and files have {len(short):,} characters, compressed. Of the {PARAMETERS:,} that "
            f"Kubeflow takes for all parameters of a run, {_MOST:,} are for these. Shorten the largest part, "
            f"{largest}, which has {sizes[largest]:,}"
        )
    return short


def unpack(text: str, folder: Path) -> Recipe:
    """Reads what `pack` wrote; the files become ones below `folder`, the same for the same text.

    Raises:
        RecipeError: the text is something else, or a file cannot be written.
    """
    try:
        if text.startswith(_COMPRESSED):
            text = zlib.decompress(base64.b64decode(text.removeprefix(_COMPRESSED), validate=True)).decode()
        packed = json.loads(text)
        recipe = Recipe.model_validate_json(json.dumps(packed["recipe"]))
    except ValidationError as error:
        raise RecipeError(explain(error, Recipe, "recipe")) from None
    except (ValueError, KeyError, TypeError, binascii.Error, zlib.error):
        raise RecipeError(f"recipe {text[:40]}…: is not a recipe from a package. Compile the package again") from None
    if schema := packed.get("schema"):
        recipe = _with(recipe, "validation", "schema_file", _keep(schema, folder, recipe.validation.schema_file))
    if taxonomy := packed.get("taxonomy"):
        text = json.dumps(taxonomy, ensure_ascii=False)
        recipe = _with(recipe, "labels", "taxonomy", _keep(text, folder, f"{recipe.labels.taxonomy}.yaml"))
    if corrections := packed.get("corrections"):
        recipe = _with(recipe, "labels", "corrections", _keep(corrections, folder, str(recipe.labels.corrections)))
    return recipe


def _with(recipe: Recipe, part: str, key: str, path: Path) -> Recipe:
    return recipe.model_copy(update={part: getattr(recipe, part).model_copy(update={key: str(path)})})


def _keep(text: str, folder: Path, name: str) -> Path:
    path = folder / hashlib.blake2b(text.encode(), digest_size=8).hexdigest() / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:  # several tasks of a run write it at once
            file.write(text.encode())
    except OSError as error:
        raise RecipeError(f"{path}: cannot be written ({error.strerror}). Name another folder with --root") from None
    return path
