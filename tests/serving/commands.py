"""`fashion predict` and `fashion embed` as they are given, and a shop's pictures for them."""

import csv
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from click.testing import CliRunner, Result

from pipeline.commands.predict import embed, predict
from tests import HOUSE

COMMANDS = {"predict": predict, "embed": embed}
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join((str(HOUSE), str(HOUSE / "serving")))}


def asked(name: str, *arguments: str | Path) -> Result:
    return CliRunner().invoke(COMMANDS[name], [*map(str, arguments)], terminal_width=100)


def started(name: str, *arguments: str | Path) -> "subprocess.Popen[str]":
    program = f"from pipeline.commands.predict import {name} as command; command()"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", program, *map(str, arguments)], env=ENVIRONMENT, **pipes)


def shop(count: int, bad: Sequence[int] = ()) -> list[str]:
    """A folder of pictures, as far as the server that needs no model is concerned; their names."""
    folder = Path("shop")
    folder.mkdir(exist_ok=True)
    names = [f"shop/{number:03}.jpg" for number in range(count)]
    for number, name in enumerate(names):
        Path(name).write_bytes(b"bad" if number in bad else f"class{number}".encode())
    return names


def rows_of(path: str) -> list[Mapping[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))
