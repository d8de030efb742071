"""What all benchmarks share: taking turns, medians, memory, processes of their own, and the table they print."""

import argparse
import datetime
import multiprocessing
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from rich import box
from rich.console import Console
from rich.table import Table

from components.errors import FashionError
from components.report.environment import checkout, versions

HOUSE = Path(__file__).parents[1]

_NAMED = ("tensorflow", "keras", "tfx", "apache-beam")
_LOG_LINES = 20  # of a process that failed
_WIDTH = 160  # of a table, at least

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Cost:
    """What something took.

    Attributes:
        seconds: wall-clock time.
        peak: largest resident memory of the process while it ran, bytes.
    """

    seconds: float
    peak: int


def parser_of(question: str | None, rounds: int) -> argparse.ArgumentParser:
    """The options that all benchmarks have; `question` is the benchmark's docstring, `rounds` its usual number."""
    parser = argparse.ArgumentParser(description=question, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller sizes and one round: the same table in a minute")
    parser.add_argument("--rounds", type=int, help=f"in which the cases take turns [default: {rounds}, quick: 1]")
    return parser


def add_data(parser: argparse.ArgumentParser) -> None:
    """Adds the option `--data`."""
    parser.add_argument(
        "--data", type=Path, help="a real catalogue: zip or folder with styles.csv and images/ [default: a drawn one]"
    )


def take_turns(cases: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Runs every case once a round, so that what else the machine does hits all of them.

    Each round begins with another case: none always runs on what the one before it left warm.

    Args:
        cases: by name, in the order of the first round.
        rounds: how often each is run.

    Returns:
        What each returned, by name, one for each round.
    """
    names = list(cases)
    results: dict[str, list[T]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % max(1, len(names))
        for name in names[first:] + names[:first]:
            say(f"round {turn + 1} of {rounds}: {name}")
            results[name].append(cases[name]())
    return results


def median_cost(costs: Sequence[Cost]) -> Cost:
    """The median time, and the largest memory of all: an average would not tell what has to fit."""
    return Cost(statistics.median(cost.seconds for cost in costs), max(cost.peak for cost in costs))


def said(rounds: int) -> str:
    """What the figures of a table are: `medians of 3 interleaved rounds`."""
    return "one run of each" if rounds == 1 else f"medians of {rounds} interleaved rounds"


def ratio(value: float, base: float) -> str:
    """How many times as much as `base`: `1.35 ×`; `–` where there is nothing to compare with."""
    return f"{value / base:.2f} ×" if base else "–"


def percent(share: float) -> str:
    """0.9831 as `98.3 %`."""
    return f"{100 * share:.1f} %"


def gigabytes(amount: float) -> str:
    """Bytes as `1.25 GB`, of 10⁹ bytes each."""
    return f"{amount / 1e9:.2f} GB"


def reset_peak() -> None:
    """Forgets the largest memory that this process has had; Linux only."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int:
    """The largest resident memory of this process since `reset_peak`, bytes."""
    with open("/proc/self/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024


def apart(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Calls a function in a fresh process, without what libraries print; its memory and imports are its own.

    Args:
        function: of a module; it, its arguments and its result can be pickled.
        *args: its arguments.
        **kwargs: likewise.

    Raises:
        SystemExit: with what a user can fix.
        Exception: whatever else the function raises, after the last lines that were printed.
    """
    spawning = multiprocessing.get_context("spawn")
    with tempfile.NamedTemporaryFile(prefix="fashion-bench-", suffix=".log") as log:
        try:
            with ProcessPoolExecutor(1, mp_context=spawning, initializer=_print_to, initargs=(log.name,)) as pool:
                return pool.submit(function, *args, **kwargs).result()
        except FashionError as error:
            raise SystemExit(f"error: {error}") from None
        except Exception:
            for line in Path(log.name).read_text(errors="replace").splitlines()[-_LOG_LINES:]:
                say(line)
            raise


def command(*arguments: str | Path) -> tuple[str, Cost]:
    """Runs `fashion` with these arguments as a user would; returns what it printed, and its cost.

    Raises:
        subprocess.CalledProcessError: it failed, after what it printed was shown.
    """
    told = [sys.executable, "-m", "pipeline.cli", *map(str, arguments)]
    with tempfile.TemporaryFile("w+") as printed:
        began = time.perf_counter()
        process = subprocess.Popen(told, stdout=printed, stderr=subprocess.STDOUT, cwd=HOUSE)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        printed.seek(0)
        text = printed.read()
    if process.returncode:
        say(text)
        raise subprocess.CalledProcessError(process.returncode, told)
    return text, Cost(seconds, usage.ru_maxrss * 1024)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for a benchmark's files, below TMPDIR, that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="fashion-bench-") as folder:
        yield Path(folder)


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *notes: str) -> None:
    """Prints the table, in Markdown, with the machine and all versions below it; the first column holds names."""
    console = Console(markup=False, highlight=False)
    console.width = max(console.width, _WIDTH)  # a narrow terminal breaks lines, but no figure is cut off
    table = Table(title=title, title_justify="left", box=box.MARKDOWN, show_edge=True)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    for note in (*notes, machine()):
        console.print(note, soft_wrap=True)


def say(text: str) -> None:
    """Tells whoever waits how far it is; the table alone goes to standard output."""
    Console(stderr=True, markup=False, highlight=False).print(text, soft_wrap=True)


def machine() -> str:
    """Processors, memory, versions, commit and date, and how busy the machine was in the last minute."""
    found, (commit, changed) = versions(), checkout()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    parts = [
        f"{os.cpu_count()} × {_processor()}, {gigabytes(memory)}",
        _accelerators(),
        f"{platform.system()} {platform.release()}",
        ", ".join([f"Python {platform.python_version()}", *(f"{n} {found[n]}" for n in _NAMED if n in found)]),
        f"commit {commit[:7]}{' and changes' if changed else ''}" if commit else "",
        f"{datetime.date.today():%Y-%m-%d}",
        f"load at the end {os.getloadavg()[0]:.1f}",
    ]
    return " · ".join(filter(None, parts))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _accelerators() -> str:
    if not (query := shutil.which("nvidia-smi")):
        return ""
    found = subprocess.run([query, "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True)
    return ", ".join(found.stdout.split("\n")).strip(", ") if found.returncode == 0 else ""


def _print_to(log: str) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    file = os.open(log, os.O_WRONLY | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(file, descriptor)
    os.close(file)
