"""Locks end with their process and name who holds them; files are replaced whole or not at all."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from serving.disk import locked, replacing
from tests import HOUSE

HOLD = """
import sys, time, pathlib
from serving.disk import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


class Taken(Exception):
    pass


def refuse(holder: str) -> None:
    raise Taken(holder)


@pytest.fixture
def holder(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(HOUSE)}, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_whoever_finds_a_lock_taken_is_given_its_holder(holder, tmp_path):
    with pytest.raises(Taken, match=f"process {holder.pid} on ."), locked(tmp_path / "lock", refuse):
        pass
    assert holder.poll() is None


def test_a_killed_process_leaves_no_lock_and_nothing_is_left_of_a_lock(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with locked(tmp_path / "lock", refuse):
        pass
    assert list(tmp_path.iterdir()) == []


def test_of_many_at_once_each_has_the_lock_alone(tmp_path):
    inside, most, turns = [], [], []

    def work():
        for _ in range(5):
            with locked(tmp_path / "lock", lambda holder: turns.append(holder)):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 40


def test_a_lock_is_given_back_after_an_error(tmp_path):
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), locked(tmp_path / "new" / "lock", refuse):
            raise ZeroDivisionError


def test_a_file_is_replaced_when_it_is_complete(tmp_path):
    path = tmp_path / "file"
    path.write_text("before")
    path.chmod(0o640)
    with replacing(path) as file:
        file.write(b"after")
        file.flush()
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    assert path.stat().st_mode & 0o777 == 0o640


def test_what_fails_on_the_way_leaves_the_file_as_it_was(tmp_path):
    Path(tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "file").write_text("before")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "link") as file:
        file.write(b"a" * (1 // 0))
    assert (tmp_path / "link").read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 2
