"""What finished runs have reached, in a file of its own: kept when the runs are gone, or were another machine's."""

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from components.errors import RecipeError
from pipeline.results.rows import Records, Result, Row
from pipeline.textfile import read_text, replace_text


def read_record(file: Path) -> Records:
    """Reads what `write_record` has written; a file that is not there yet holds nothing.

    Raises:
        RecipeError: the file cannot be read; or naming the line that holds neither a result nor a reason.
    """
    lines = read_text("--record", file).split("\n") if file.exists() else []
    results: list[Result] = []
    failures: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            entry = json.loads(line)
            if entry.keys() == {"recipe", "reason"}:
                failures[entry["recipe"]] = entry["reason"]
            else:
                results.append(_adapter().validate_python(entry))
        except (ValueError, AttributeError) as error:
            problem = _first(error) if isinstance(error, ValidationError) else "it is not a JSON object"
            raise RecipeError(
                f"--record {file}, line {number}: no result of a run: {problem}; `fashion results` writes one a line. "
                "Correct or remove the line"
            ) from None
    return Records(tuple(results), failures)


def write_record(rows: Iterable[Row], file: Path) -> None:
    """Writes the runs of a table's rows, one a line, and why others have none.

    Raises:
        RecipeError: the file cannot be written.
    """
    lines: list[str] = []
    for row in rows:
        lines += [_adapter().dump_json(result).decode() for result in row.results]
        if row.reason:
            lines.append(json.dumps({"recipe": row.recipe, "reason": row.reason}, ensure_ascii=False))
    replace_text("--record", file, "".join(f"{line}\n" for line in lines))


@cache
def _adapter() -> TypeAdapter[Result]:
    return TypeAdapter(Result)


def _first(error: ValidationError) -> str:
    problem: Any = error.errors()[0]
    return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
