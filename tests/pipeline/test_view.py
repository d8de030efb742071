"""What a person sees of a run: plain lines for logs, a live view for terminals, the libraries' noise in a file."""

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from components.progress import Progress
from pipeline import view as module
from pipeline.run import explained
from pipeline.stages import STAGES
from pipeline.view import RunView, quiet
from tests import HOUSE

MARKUP = "Bag [bold]tote[/bold] [/] [link=x] :shirt:"
WIDTH = 80


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def plain() -> tuple[RunView, io.StringIO]:
    shown = io.StringIO()
    return RunView(Console(file=shown, width=WIDTH)), shown


def screen(view: RunView) -> list[str]:
    """What the live view shows at this moment, line by line."""
    console = Console(width=WIDTH, file=io.StringIO())
    console.print(view._render())
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def live() -> RunView:
    return RunView(Console(force_terminal=True, width=WIDTH, file=io.StringIO()))


def test_plain_mode_prints_one_line_for_each_stage() -> None:
    view, shown = plain()
    with view:
        view.expect(["ingest", "train"])
        for stage, text, seconds in (("ingest", "252 products", 2.4), ("train", "", 61.0)):
            view.started(stage)
            view.finished(stage, text, seconds)
    assert shown.getvalue() == "  ingest      252 products  2 s\n  train       done  61 s\n"


def test_plain_mode_prints_progress_every_fifteen_seconds_and_not_more_often(clock: Clock) -> None:
    view, shown = plain()
    with view:
        view.started("train")
        for epoch in range(1, 41):
            clock.now += 1
            view.progress(Progress("head", epoch, 100, "88 img/s"))
    assert shown.getvalue().splitlines() == [f"  train       … head · {epoch}/100 · 88 img/s" for epoch in (15, 30)]


def test_a_long_line_is_not_broken_in_a_log() -> None:
    view, shown = plain()
    with view:
        view.finished("ingest", "x" * 300, 1)
    assert len(shown.getvalue().splitlines()) == 1


def test_plain_mode_is_used_where_a_terminal_cannot_move_its_cursor() -> None:
    shown = io.StringIO()
    with RunView(Console(force_terminal=True, file=shown, _environ={"TERM": "dumb"})) as view:
        view.finished("ingest", "252 products", 1)
    assert shown.getvalue() == "  ingest      252 products  1 s\n"


def test_live_mode_shows_what_is_done_under_way_and_to_come(clock: Clock) -> None:
    view = live()
    view.expect(["ingest", "train", "publish"])
    view.started("ingest")
    view.finished("ingest", "252 products", 2)
    view.started("train")
    clock.now += 12
    view.progress(Progress("finetune", 61, 94, "epoch 4/8 · 0:41 left"))
    done, running, bar, waiting = screen(view)
    assert done.split() == ["ingest", "252", "products", "2", "s"]
    assert running.split() == ["train", "12", "s"]
    assert bar.split("━")[0].split() == ["finetune"]
    assert bar.endswith("epoch 4/8 · 0:41 left")
    assert waiting.split() == ["publish", "·"]


@pytest.mark.parametrize(
    "progress",
    [
        Progress("features train", 84_960, 84_960),
        Progress("pictures", 26_570),
        Progress("finetune", 4_100, 6_000, "epoch 100/100 · 1,179 img/s · best 98.4% · 10:41 left"),
        Progress("finetune", 1, 6_000, "very long notes " * 10),
        Progress("nothing", 0, 0),
    ],
)
def test_live_mode_keeps_each_stage_to_one_line_of_eighty_columns(progress: Progress) -> None:
    view = live()
    view.expect(STAGES)
    view.finished("ingest", "26,570 products in 6 classes, 13,300 outside, 9 quarantined", 17)
    view.started("train")
    view.progress(progress)
    lines = screen(view)
    assert max(map(len, lines)) <= WIDTH
    assert len(lines) == len(STAGES) + 1


def test_live_mode_breaks_a_long_text_beside_the_stage_and_keeps_the_time() -> None:
    view = live()
    view.finished("train", "word " * 30, 75)
    lines = screen(view)
    assert max(map(len, lines)) <= WIDTH
    assert lines[0].endswith("75 s")
    assert all(line.startswith(" " * 14 + "word") for line in lines[1:])


def test_nothing_in_the_data_is_taken_for_markup() -> None:
    view, shown = plain()
    with view:
        view.finished("ingest", MARKUP, 1)
    assert MARKUP in shown.getvalue()
    terminal = live()
    terminal.finished("ingest", MARKUP, 1)
    terminal.started(MARKUP)
    terminal.progress(Progress(MARKUP, 1, 2, MARKUP))
    assert MARKUP in screen(terminal)[0]
    assert screen(terminal)[2].count(MARKUP[:30]) == 2


def test_a_quiet_console_takes_nothing_for_markup(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with quiet(tmp_path / "run.log") as console:
        console.print(MARKUP)
    assert capfd.readouterr().out == MARKUP + "\n"


@pytest.mark.parametrize(("error", "said"), [(ValueError, "failed"), (KeyboardInterrupt, "stopped")])
def test_the_stage_under_way_is_named_when_a_run_ends_early(error: type[BaseException], said: str) -> None:
    view, shown = plain()
    view.finished("ingest", "252 products", 1)
    view.started("train")
    with pytest.raises(error), view:
        raise error
    assert shown.getvalue().splitlines()[-1] == f"  train       ✗ {said}"


def test_quiet_sends_what_python_c_and_other_processes_write_to_the_log(tmp_path: Path, capfd) -> None:
    log = tmp_path / "logs" / "run.log"
    with quiet(log) as console:
        os.write(1, b"from C, out\n")
        os.write(2, b"from C, err\n")
        subprocess.run([sys.executable, "-c", "print('from a process')"], check=True)
        print("from Python", file=sys.__stderr__, flush=True)
        console.print("for people")
    assert log.read_text().splitlines() == ["from C, out", "from C, err", "from a process", "from Python"]
    assert capfd.readouterr() == ("for people\n", "")


def test_a_log_is_shown_as_it_is_written_where_nobody_can_open_its_file(tmp_path: Path, capfd) -> None:
    log = tmp_path / "train.log"
    log.write_text("of an earlier try\n")
    with explained(log, shown=True) as console:
        os.write(1, b"from C++, \xff\n")
        subprocess.run(["echo", "from elsewhere"], check=True)
        console.print("to people")
    shown = capfd.readouterr().out.splitlines()
    assert {"from C++, \ufffd", "from elsewhere", "to people"} <= set(shown)
    assert "of an earlier try" not in shown
    assert log.read_bytes() == b"of an earlier try\nfrom C++, \xff\nfrom elsewhere\n"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_quiet_gives_the_streams_back_whatever_happens(tmp_path: Path, capfd, error: type[BaseException]) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = descriptors()
    with pytest.raises(error), quiet(tmp_path / "run.log"):
        raise error
    assert descriptors() == before
    os.write(1, b"out again\n")
    os.write(2, b"err again\n")
    assert capfd.readouterr() == ("out again\n", "err again\n")
    assert (tmp_path / "run.log").read_text() == ""


def test_a_second_run_adds_to_a_log_and_loses_nothing(tmp_path: Path) -> None:
    for line in (b"first\n", b"second\n"):
        with quiet(tmp_path / "run.log"):
            os.write(2, line)
    assert (tmp_path / "run.log").read_text() == "first\nsecond\n"


def test_in_a_terminal_noise_goes_to_the_log_and_not_between_the_stages(tmp_path: Path) -> None:
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom pipeline.view import RunView, quiet\n"
        "with quiet(Path(sys.argv[1])) as console, RunView(console) as view:\n"
        "    view.started('train')\n    print('noise of Python', file=sys.stderr, flush=True)\n"
        "    os.write(1, b'noise of C')\n    view.finished('train', 'head 98.4 %', 58)\n"
    )
    leader, terminal = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(HOUSE), "TERM": "xterm"}
    command = [sys.executable, "-c", script, tmp_path / "run.log"]
    subprocess.run(command, env=environment, stdout=terminal, stderr=terminal, check=True, timeout=30)
    os.close(terminal)
    shown = os.read(leader, 1 << 16).decode()
    os.close(leader)
    assert "head 98.4 %" in shown
    assert "noise" not in shown
    assert (tmp_path / "run.log").read_text() == "noise of Python\nnoise of C"
