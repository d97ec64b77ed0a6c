"""A sweep in words: a line a member, what sets them apart, why some did not complete."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from launcher.spec import State
from launcher.store.metrics import objective, return_value
from launcher.tables import align
from launcher.view import duration, value_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from launcher.paths import RunFolder
    from launcher.store.run_state import Cause, Run
    from launcher.view import View

FEW = 20
"""Members of a sweep whose every end has a line."""

LOOK_EVERY_S = 0.5
PLAIN_EVERY_S = 10.0
"""Between two lines of counts without a terminal."""

MOST_ROWS = 50
"""Members in the table at the end."""

MOST_CAUSES = 10
"""Members whose cause is shown below a sweep's table."""

LAST_LINES = 3
"""Of the log of a process that failed."""

MOST_VALUE = 40
"""Characters of a returned value that is no number."""

HEADER = ("#", "run", "state", "time", "objective", "overrides")


class Line(NamedTuple):
    """What is told of one member."""

    place: int
    run: str
    state: str
    seconds: float | None
    """How long it has been running, or ran."""
    objective: float | None
    label: str
    """The overrides that not all members have."""
    cause: Cause | None = None
    returned: Any = None
    """What the task of a Hydra app returned."""


def labels(members: Iterable[Sequence[str]]) -> list[str]:
    """Return of each member's overrides those that not all members have."""
    overrides = list(members)
    words = [set(each) for each in overrides]
    common = words[0].intersection(*words[1:]) if len(words) > 1 else set[str]()
    return [" ".join(word for word in each if word not in common) for each in overrides]


def summary_row(place: int, run: Run, label: str, now: float) -> Line:
    """Return what is told of a run."""
    return Line(
        place, run.id, str(run.state), run.seconds(now), objective(run), label, run.cause, return_value(run)
    )


def cells(line: Line) -> tuple[str, ...]:
    """Return a line as texts, in the order of `HEADER`."""
    took = "-" if line.seconds is None else duration(line.seconds)
    return (str(line.place), line.run, line.state, took, _value(line), line.label)


def _value(line: Line) -> str:
    if line.objective is not None:
        return f"{line.objective:.6g}"
    return "-" if line.returned is None else value_text(line.returned, MOST_VALUE)


def count_states(states: Iterable[str]) -> str:
    """Return how many are in which state, `12 Completed, 1 Failed`; what is most first."""
    return ", ".join(f"{count} {state}" for state, count in Counter(states).most_common())


def causes(lines: Sequence[Line]) -> Iterator[str]:
    """Yield why members did not complete, each with the end of its log; of many the first ones."""
    failed = [line for line in lines if line.cause is not None]
    for line in failed[:MOST_CAUSES]:
        assert line.cause is not None  # noqa: S101
        yield f"{line.run}: {line.cause.message}"
        yield from (
            f"  | {text}" for text in [it for it in line.cause.last_lines if it.strip()][-LAST_LINES:]
        )
    if len(failed) > MOST_CAUSES:
        yield f"and {len(failed) - MOST_CAUSES} more; `python -m launcher runs show RUN` shows a run's cause"


class Progress:
    """How the members of a sweep go: one bar on a terminal, else a line of counts now and then.

    The end of a member has a line of its own if the sweep is small, or the member did not complete.
    """

    def __init__(self, view: View, members: Iterable[RunFolder]) -> None:
        self._view = view
        self._queued = set(members)
        self._total = len(self._queued)
        self._ends: Counter[str] = Counter()
        self._shown = ""
        self._next = {"look": 0.0, "line": time.monotonic() + PLAIN_EVERY_S}

    def end(self, run: Run, label: str) -> None:
        """Count a member that is over."""
        self._queued.discard(run.folder)
        self._ends[run.state] += 1
        if self._total <= FEW or run.state is not State.COMPLETED:
            self._view.phase(run.id, run.state, f"({self._ends.total()} of {self._total}) {label}")

    def show(self) -> str:
        """Print the counts if it is time; return what was printed last."""
        now = time.monotonic()
        if now >= self._next["look"]:
            self._next["look"] = now + LOOK_EVERY_S
            self._queued = {run for run in self._queued if not run.attempt_state(0).exists()}
            if self._view.interactive:
                self._shown = self._counts()
                self._view.step(self._shown, self._ends.total() / self._total)
        if now >= self._next["line"] and not self._view.interactive:
            self._next["line"] = now + PLAIN_EVERY_S
            if self._shown != self._counts():
                self._shown = self._counts()
                self._view.say(f"           {self._shown}")
        return self._shown

    def _counts(self) -> str:
        queued = len(self._queued)
        running = self._total - queued - self._ends.total()
        counts = {State.RUNNING: running, State.QUEUED: queued, **self._ends}
        return ", ".join(f"{count} {state}" for state, count in counts.items() if count)


def print_summary(view: View, sweep: str, lines: Sequence[Line]) -> None:
    """Tell how the members of a sweep ended."""
    view.say()
    for text in align([HEADER, *map(cells, lines[:MOST_ROWS])]):
        view.say(text)
    if len(lines) > MOST_ROWS:
        view.say(f"and {len(lines) - MOST_ROWS} more; `python -m launcher sweeps show {sweep}` shows all")
    for text in causes(lines):
        view.say(text)
    view.say(f"sweep {sweep}")
    if any(line.state != "Completed" for line in lines):
        view.say(f"  next     python -m launcher sweeps resume {sweep}")
