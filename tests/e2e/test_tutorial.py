"""The tutorial's hour: each of its commands is given as it stands there, and its screens appear."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests import HOUSE
from tests.conftest import Place

pytestmark = pytest.mark.slow

SECONDS = 1200
SERVER = "http://localhost:8501/v1/models/quickstart"
# The set-up is what the tests run in; `report --open` would start a browser.
LEFT_OUT = ("make install", ". .venv/bin/activate")


def steps(text: str) -> Iterator[tuple[str, str]]:
    """The blocks of commands in their order, each with the screen that is shown before the next one."""
    commands = screen = ""
    for part in re.finditer(r"^```(\w+)\n([\s\S]*?)^```|(?:^ {4}.*\n)+", text, re.MULTILINE):
        if part[1] == "text":
            screen = part[2]
        elif not part[1]:
            yield from [(commands, screen)] * bool(commands)
            lines = (line for line in part[0].splitlines() if line.strip() not in LEFT_OUT)
            commands, screen = "\n".join(lines).replace(" --open", ""), ""
    yield commands, screen


def shapes(screen: str) -> set[str]:
    """Its lines without figures, versions and times, and without how wide columns are."""
    return {re.sub(r"[\d.,:-]+\w*", "#", " ".join(line.split())) for line in screen.splitlines() if line.strip()}


def environment(place: Place) -> Mapping[str, str]:
    """One in which `fashion` is the command."""
    given = place.environment()
    command = place.folder / "bin" / "fashion"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m pipeline.cli "$@"\n')
    command.chmod(0o755)
    paths = {"PATH": f"{command.parent}:{os.environ['PATH']}", "PYTHONPATH": f"{HOUSE}:{HOUSE / 'serving'}"}
    return {**given, **paths}


def wait_for(server: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(SERVER).close()
        except OSError:
            time.sleep(0.5)
        else:
            return
    pytest.fail("the server does not answer")


def test_the_tutorial_goes_as_it_says(place: Place) -> None:
    for port in (8500, 8501):
        with socket.socket() as probe:
            if probe.connect_ex(("localhost", port)) == 0:
                pytest.skip(f"port {port}, which the tutorial serves at, is taken")
    given, server = environment(place), None
    try:
        for commands, screen in steps((HOUSE / "docs" / "tutorial.md").read_text(encoding="utf-8")):
            if commands.endswith("&"):
                server = subprocess.Popen(["bash", "-c", f"exec {commands[:-1]}"], cwd=place.work, env=given)
                wait_for(server)
                continue
            done = subprocess.run(
                ["bash", "-ec", commands], cwd=place.work, env=given, capture_output=True, text=True, timeout=SECONDS
            )
            assert done.returncode == 0, (commands, done.stdout, done.stderr)
            missing = shapes(screen) - shapes(done.stdout + done.stderr)
            assert len(missing) <= 0.2 * len(shapes(screen)), (commands, missing, done.stdout)
    finally:
        if server:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
    assert (place.work / "runs" / "monitor" / "index.html").is_file()
    assert (Path(place.work) / "similar.html").is_file()
