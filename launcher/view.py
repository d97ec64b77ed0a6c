"""What a launch shows: one line a phase, progress of slow work, and the summary.

The launcher's own words go to standard error and the script's output to standard output, so that the
output can be piped. On a terminal slow work has a bar, elsewhere plain lines.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TextIO

from launcher.agent.base.process_logs import process_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from launcher.store.run_state import Cause, Run

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


def value_text(value: Any, most: int) -> str:
    """Return a value that JSON holds as one short line."""
    text = f"{value:.6g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= most else f"{text[: most - 1]}…"


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

    @property
    def interactive(self) -> bool:
        """Whether the stream is a terminal, which shows slow work by a bar."""
        return self._stream.isatty()

    def step(self, text: str, done: float | None = None) -> None:
        """See `Progress.step`."""
        if self.interactive:
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

    def summary(self, run: Run, metrics: dict[str, float], shown: str = "") -> None:
        """Print how a run ended, where its files are, and what comes next.

        `shown`: the process whose log went to standard output already.
        """
        self.say(f"\n{run.id}  {state_text(run, time.time())}")
        if run.cause is not None:
            for line in cause_lines(run.cause, with_log=shown != run.cause.process or self._alone()):
                self.say(f"  cause    {line}" if not line.startswith("|") else f"           {line}")
        for name, value in sorted(metrics.items()):
            self.say(f"  metric   {name} = {value:.6g}")
        self.say(f"  outputs  {run.folder.outputs}")
        for number, step in enumerate((*log_steps(run), f"show {run.id}", f"files {run.id}")):
            self.say(f"  {'' if number else 'next':8} python -m launcher runs {step}")

    def _alone(self) -> bool:
        """Return whether a person reads this stream, and not standard output."""
        return self.interactive and not sys.stdout.isatty()


def state_text(run: Run, now: float) -> str:
    """Return the state and the time in Running of the newest attempt: `Completed after 13.3 s`."""
    took = run.seconds(now)
    return (
        str(run.state) if took is None else f"{run.state} {'after' if run.ended else 'for'} {duration(took)}"
    )


def cause_text(run: Run) -> str:
    """Return what follows a run's state: `: ` and its cause, or nothing."""
    return "" if run.cause is None else f": {run.cause.message}"


def cause_lines(cause: Cause, *, with_log: bool = True) -> Iterator[str]:
    """Yield what a cause says, then the last lines of its process after a bar."""
    yield cause.message + (f" (while {cause.phase})" if cause.phase else "")
    if with_log:
        yield from (f"| {line}" for line in cause.last_lines)


def log_steps(run: Run) -> Iterator[str]:
    """Yield the command of `runs` that prints the log of the process that failed, if it has one."""
    name = run.cause.process if run.cause is not None else ""
    for process in run.processes:
        if name == process_name(process):
            yield f"logs {run.id}" if process.get("rank") == 0 else f"logs {run.id} --process {name}"
