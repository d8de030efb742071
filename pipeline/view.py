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
_WAITING = "·"


@contextmanager
def quiet(log: Path) -> Iterator[Console]:
    """Sends all that libraries print, from Python or C++, to a log file; yields a console that still reaches people.

    The log is appended to; it is made if it is missing, with its folder.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    kept = os.dup(1), os.dup(2)
    with log.open("a", encoding="utf-8") as file, os.fdopen(os.dup(1), "w", encoding="utf-8") as people:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            # What is shown comes from catalogues and paths: nothing in it is markup.
            yield Console(file=people, highlight=False, markup=False, emoji=False, soft_wrap=not people.isatty())
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            for number, descriptor in enumerate(kept, start=1):
                os.dup2(descriptor, number)
                os.close(descriptor)


class RunView:
    """The stages of a run, one line each: waiting, under way, done. The running one shows how far it is."""

    def __init__(self, console: Console) -> None:
        self._console, self._width = console, 10
        self._lines: dict[str, tuple[Text, str]] = {}
        self._running: str | None = None
        self._progress: Progress | None = None
        self._began = self._last_plain = time.monotonic()
        self._live: Live | None = None
        if console.is_terminal and not console.is_dumb_terminal:
            # Live would otherwise show what libraries print, which `quiet` has just sent to the log.
            self._live = Live(get_renderable=self._render, console=console, refresh_per_second=5,
                              redirect_stdout=False, redirect_stderr=False)  # fmt: skip

    def __enter__(self) -> "RunView":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind and self._running:
            self._finish(
                self._running, Text.assemble(("✗ ", "red"), "failed" if issubclass(kind, Exception) else "stopped")
            )
        if self._live:
            self._live.stop()

    def expect(self, stages: Sequence[str]) -> None:
        """These stages are to come, in this order."""
        self._width = max(self._width, *map(len, stages))
        self._lines |= dict.fromkeys(stages, (Text(_WAITING, style="dim"), ""))

    def started(self, stage: str) -> None:
        """A stage begins."""
        self._lines.setdefault(stage, (Text(), ""))
        self._running, self._progress = stage, None
        self._began = self._last_plain = time.monotonic()

    def progress(self, progress: Progress) -> None:
        """The running stage has come this far."""
        self._progress = progress
        now = time.monotonic()
        if not self._live and now - self._last_plain >= _SECONDS_BETWEEN_PLAIN_LINES:
            self._last_plain = now
            self._print(f"  {self._running or '':<{self._width}}  … {progress}")

    def finished(self, stage: str, text: str, seconds: float | None = None) -> None:
        """A stage has ended; `text` says with what. If it does not say how long it took, that is since it began."""
        took = time.monotonic() - self._began if seconds is None else seconds
        self._finish(stage, Text(text or "done"), f"{took:.0f} s")

    def _finish(self, stage: str, text: Text, took: str = "") -> None:
        self._lines[stage] = text, took
        self._running = None
        if not self._live:
            self._print(f"  {stage:<{self._width}}  {'  '.join(filter(None, (text.plain, took)))}")

    def _print(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)

    def _render(self) -> RenderableType:
        # A thread of Live's calls this while stages come and go.
        rows: list[RenderableType] = []
        for stage, (text, took) in list(self._lines.items()):
            if stage != self._running:
                rows.append(self._stage(Text(stage), text, took))
                continue
            progress, seconds = self._progress, f"{time.monotonic() - self._began:.0f} s"
            rows.append(self._stage(Text(stage, style="bold"), Text("" if progress else "…"), seconds))
            if progress:
                rows.append(_bar(progress, self._console.width))
        return Group(*rows)

    def _stage(self, name: Text, text: Text, took: str) -> RenderableType:
        line = Table.grid(padding=(0, 2), expand=True)
        line.add_column(width=self._width + 2, no_wrap=True)
        line.add_column(ratio=1)
        line.add_column(justify="right", no_wrap=True)
        line.add_row(Text("  ") + name, text, took)
        return line


def _bar(progress: Progress, width: int) -> RenderableType:
    """A line of its own: what is under way, how far, and a note; the bar gets what room the words leave."""
    words = progress.note or f"{progress.done:,}" + (f"/{progress.total:,}" if progress.total else "")
    left = width - len(f"    {progress.part}    {words}")
    bar = ProgressBar(total=progress.total, completed=progress.done, width=max(4, min(left, _BAR_WIDTH)))
    line = Table.grid(padding=(0, 2))
    line.add_column(no_wrap=True)
    line.add_column()
    line.add_column(no_wrap=True, overflow="ellipsis")
    line.add_row(Text(f"    {progress.part}"), bar, Text(words))
    return line
