"""Suspects as tasks of Label Studio, and its annotations as corrections: https://labelstud.io/guide/export."""

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from components.audit.collect import Audit
from components.errors import RecipeError
from components.ingest.corrections import COLUMNS
from components.spreadsheet import csv_lines
from components.transform.taxonomy import NO_CLASS

TASKS_FILE, CONFIG_FILE = "label_studio.json", "label_studio.xml"

_CHOICE, _IMAGE = "class", "image"


def write_tasks(audit: Audit, folder: Path) -> None:
    """Writes the suspects as tasks with pictures and suggestions, and the labelling interface that they are for."""
    names = "\n".join(f"    <Choice value={quoteattr(name)}/>" for name in (*audit.classes, NO_CLASS))
    interface = (
        f'<View>\n  <Header value="$title"/>\n  <Image name="{_IMAGE}" value="$image"/>\n'
        f'  <Choices name="{_CHOICE}" toName="{_IMAGE}" choice="single" required="true">\n{names}\n'
        "  </Choices>\n</View>\n"
    )
    (folder / CONFIG_FILE).write_text(interface, encoding="utf-8")
    tasks = json.dumps([*_tasks(audit)], ensure_ascii=False, indent=1)
    (folder / TASKS_FILE).write_text(tasks + "\n", encoding="utf-8")


def _tasks(audit: Audit) -> Iterator[dict[str, Any]]:
    for each in audit.suspects:
        picture = base64.b64encode(audit.pictures.get(each.id, b"")).decode()
        data = {
            "image": f"data:image/jpeg;base64,{picture}", "title": f"{each.name} ({each.id}), labelled {each.label}",
            "product": each.id, "label": each.label, "reasons": "; ".join(each.reasons),
        }  # fmt: skip
        choice = {
            "from_name": _CHOICE, "to_name": _IMAGE, "type": "choices", "value": {"choices": [each.suggestion]},
        }  # fmt: skip
        yield {"data": data, "predictions": [{"model_version": audit.run, "score": each.sure, "result": [choice]}]}


def corrections_of(export: Path) -> str:
    """Reads what Label Studio exports as JSON; returns the last decision about each product as `corrections.csv`.

    Raises:
        RecipeError: it is something else.
    """
    try:
        tasks: list[Any] = [*json.loads(export.read_text(encoding="utf-8"))]
        lines = [line for task in tasks if (line := _decision(task))]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise RecipeError(
            f"{export}: cannot be read as Label Studio's JSON ({error!r}). Export the project's tasks as JSON, not as "
            "JSON-MIN or CSV"
        ) from None
    return "".join(csv_lines([COLUMNS, *lines]))


def _decision(task: Mapping[str, Any]) -> tuple[str, ...] | None:
    valid = [each for each in task["annotations"] if each["result"] and not each.get("was_cancelled")]
    if not valid:
        return None
    last = max(valid, key=lambda each: each.get("updated_at") or each.get("created_at") or "")
    by = last.get("completed_by", "")
    name = by.get("email", "") if isinstance(by, dict) else str(by)
    choices = next(each["value"]["choices"] for each in last["result"] if each["from_name"] == _CHOICE)
    data = task["data"]
    return data["product"], data["label"], choices[0], name, str(last.get("updated_at", "")), "Label Studio"
