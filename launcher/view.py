"""What a launch shows: one line a phase, progress of slow work, and the summary.

The launcher's own words go to standard error and the script's output to standard output, so that the
output can be piped. On a terminal slow work has a bar, elsewhere plain lines.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TextIO

if TYPE_CHECKING:
    from types import TracebackType

    from launcher.store.fold import Run

_PLAIN_EVERY_S = 5.0
"""At most one line of progress in so many seconds where there is no terminal."""


def duration(seconds: float) -> str:
    """Return a duration for people: `0.3 s`, `4 min 05 s`, `2 h 03 min`."""
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:  # noqa: PLR2004
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


class View:
    """Tells on a stream how a launch goes; a context manager that leaves no bar behind."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._began = time.monotonic()
        self._bar: Any = None
        self._task: Any = None
        self._last = ("", 0.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_bar()

    def say(self, text: str = "") -> None:
        """Print a line."""
        self._end_bar()
        with suppress(OSError, ValueError):  # in a process of somebody else; see `launcher.streams` for ours
            print(text, file=self._stream, flush=True)

    def phase(self, run: str, name: str, detail: str = "") -> None:
        """Tell that a run entered a phase, and how long after the start of the launch."""
        elapsed = duration(time.monotonic() - self._began)
        self.say(f"[{elapsed:>8}] {run}  {name}{'  ' + detail if detail else ''}")

    def step(self, text: str, done: float | None = None) -> None:
        """See `Progress.step`."""
        if self._stream.isatty():
            self._show_bar(text, done)
            return
        told, when = self._last
        now = time.monotonic()
        if text != told and (now - when >= _PLAIN_EVERY_S or not told):
            self.say(f"           {text}")
            self._last = (text, now)

    def _show_bar(self, text: str, done: float | None) -> None:
        if self._bar is None:
            from rich.console import Console  # noqa: PLC0415  # 60 ms that only a terminal needs
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, console=Console(file=self._stream), transient=True)
            self._task = self._bar.add_task(text, total=None)
            self._bar.start()
        total = None if done is None else 1.0
        self._bar.update(self._task, description=text, total=total, completed=done or 0.0)

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        self._last = ("", 0.0)

    def summary(self, run: Run, metrics: dict[str, float]) -> None:
        """Tell how a run ended, where its files are, and what comes next."""
        took = f" in {duration(run.ended - run.created)}" if run.ended else ""
        self.say(f"\n{run.id}  {run.state}{took}")
        if run.cause is not None:
            self.say(f"  cause    {run.cause.message} (while {run.cause.phase or 'NotStarted'})")
            for line in run.cause.last_lines:
                self.say(f"           | {line}")
        for name, value in sorted(metrics.items()):
            self.say(f"  metric   {name} = {value:.6g}")
        self.say(f"  outputs  {run.folder.outputs}")
        self.say(f"  next     python -m launcher runs show {run.id}")
        self.say(f"           python -m launcher runs files {run.id}")


def table(rows: list[tuple[str, ...]]) -> list[str]:
    """Return rows as aligned lines."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    lines = (zip(row, widths, strict=True) for row in rows)
    return ["  ".join(cell.ljust(width) for cell, width in line).rstrip() for line in lines]
