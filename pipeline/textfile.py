"""A text file that an option names, read and replaced as a whole: never half written."""

from pathlib import Path

from components.errors import RecipeError
from serving.disk import replacing


def read_text(option: str, file: Path) -> str:
    """What the file holds, UTF-8.

    Raises:
        RecipeError: naming the option and the file, which cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{option} {file}: it cannot be read: {error}") from None


def replace_text(option: str, file: Path, text: str) -> None:
    """Puts the text there in one step.

    Raises:
        RecipeError: naming the option and the file, which cannot be written.
    """
    try:
        with replacing(file) as content:
            content.write(text.encode())
    except OSError as error:
        raise RecipeError(f"{option} {file}: it cannot be written: {error}") from None
