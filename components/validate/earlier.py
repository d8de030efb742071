"""What the last run was judged by, found among the verdicts that earlier runs have left side by side."""

import json
import os

from tfx.dsl.io import fileio

from components.validate.shares import Summary

VERDICT_FILE = "verdict.json"


def last_accepted(verdicts: str, name: str) -> Summary | None:
    """Returns the counts of the newest run of an experiment whose data were found fit; None if there is none.

    `verdicts` has a numbered folder for each verdict of `DataGate`; refused data have left none in theirs.
    """
    folders = fileio.listdir(verdicts) if fileio.exists(verdicts) else []
    numbers = [int(folder.rstrip("/")) for folder in folders if folder.rstrip("/").isdecimal()]
    for number in sorted(numbers, reverse=True):
        path = os.path.join(verdicts, str(number), VERDICT_FILE)
        if fileio.exists(path):
            with fileio.open(path) as file:
                content = json.loads(file.read())
            if content.get("name") == name:
                return Summary.model_validate(content)
    return None
