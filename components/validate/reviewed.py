"""Which reviewed schema a catalogue is held against."""

from importlib import resources
from pathlib import Path

from components.errors import RecipeError
from components.reading import choices

_SUFFIX = ".pbtxt"


def find_schema(name_or_path: str) -> Path:
    """Returns the file of a schema, by its name in schema/ without the suffix or by a path that ends in .pbtxt.

    Raises:
        RecipeError: there is no such file.
    """
    path = Path(name_or_path)
    if path.suffix == _SUFFIX:
        if not path.is_file():
            raise RecipeError(f"validation.schema_file {name_or_path}: there is no such file")
        return path.absolute()
    folder = Path(str(resources.files("schema")))
    at_hand = sorted(each.stem for each in folder.glob(f"*{_SUFFIX}"))
    if name_or_path not in at_hand:
        raise RecipeError(
            f"validation.schema_file {name_or_path!r}: there is none; {choices(name_or_path, at_hand)}; "
            f"or give the path of a {_SUFFIX} file"
        )
    return folder / f"{name_or_path}{_SUFFIX}"
