"""What a person sees of a run: live lines in a terminal, plain ones in a log."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from components.progress import Progress

_SECONDS_BETWEEN_PLAIN_LINES = 15
_BAR_WIDTH = 20


@contextmanager
def quiet(log: Path) -> Iterator[Console]:
    """Sends all that libraries print, from Python or C++, to a log file; yields a console that still reaches people."""
    log.parent.mkdir(parents=True, exist_ok=True)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    kept = os.dup(1), os.dup(2)
    with log.open("a", encoding="utf-8") as file, os.fdopen(os.dup(1), "w", encoding="utf-8") as people:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield Console(file=people, highlight=False, soft_wrap=not people.isatty())
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            for number, descriptor in enumerate(kept, start=1):
                os.dup2(descriptor, number)
                os.close(descriptor)


class RunView:
    """The stages of a run, one line each: waiting, under way, done."""

    def __init__(self, console: Console) -> None:
        self._console, self._width = console, 10
        self._lines: dict[str, tuple[str, str]] = {}
        self._running: str | None = None
        self._parts: dict[str, Progress] = {}
        self._began = self._last_plain = time.monotonic()
        self._live = (
            Live(get_renderable=self._render, console=console, refresh_per_second=5) if console.is_terminal else None
        )

    def __enter__(self) -> "RunView":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._running = None
        if self._live:
            self._live.stop()

    def expect(self, stages: Sequence[str]) -> None:
        """These stages are to come, in this order."""
        self._width = max(self._width, *map(len, stages))
        self._lines |= dict.fromkeys(stages, ("·", ""))

    def started(self, stage: str) -> None:
        """A stage begins."""
        self._lines.setdefault(stage, ("·", ""))
        self._running, self._parts = stage, {}
        self._began = self._last_plain = time.monotonic()

    def progress(self, progress: Progress) -> None:
        """The running stage has come this far."""
        self._parts[progress.part] = progress
        now = time.monotonic()
        if not self._live and now - self._last_plain >= _SECONDS_BETWEEN_PLAIN_LINES:
            self._last_plain = now
            self._console.print(Text(f"  {self._running or '':<{self._width}}  … {progress}"))

    def finished(self, stage: str, text: str, seconds: float | None, *, failed: bool = False) -> None:
        """A stage has ended; `text` says with what."""
        took = "" if seconds is None else f"{seconds:.0f} s"
        self._lines[stage] = (f"[red]✗[/] {text}" if failed else text or "done", took)
        self._running = None
        if not self._live:
            self._console.print(f"  {stage:<{self._width}}  {self._lines[stage][0]}{'  ' + took if took else ''}")

    def _render(self) -> RenderableType:
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(width=self._width + 2, no_wrap=True)
        table.add_column(ratio=1)
        table.add_column(justify="right", no_wrap=True)
        for stage, (text, took) in self._lines.items():
            if stage == self._running:
                seconds = f"{time.monotonic() - self._began:.0f} s"
                table.add_row(
                    f"  [bold]{stage}[/]", Group(*map(_bar, self._parts.values())) if self._parts else "…", seconds
                )
            else:
                style = "dim" if text == "·" else ""
                table.add_row(f"  {stage}", text, took, style=style)
        return table


def _bar(progress: Progress) -> RenderableType:
    row = Table.grid(padding=(0, 1))
    count = f"{progress.done:,}" + (f"/{progress.total:,}" if progress.total else "")
    row.add_row(
        progress.part,
        ProgressBar(total=progress.total, completed=progress.done, width=_BAR_WIDTH),
        Text(progress.note or count),
    )
    return row
