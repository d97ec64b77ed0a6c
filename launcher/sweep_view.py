"""A sweep in words: a line a member, what sets them apart, why some did not complete."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from launcher.store.metrics import last_values
from launcher.view import duration, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from launcher.store.fold import Run
    from launcher.view import View

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
    cause: str | None = None


def labels(members: Iterable[Sequence[str]]) -> list[str]:
    """Return of each member's overrides those that not all members have."""
    overrides = list(members)
    words = [set(each) for each in overrides]
    common = words[0].intersection(*words[1:]) if len(words) > 1 else set[str]()
    return [" ".join(word for word in each if word not in common) for each in overrides]


def objective(run: Run) -> float | None:
    """Return the last value of the metric that the run's spec names."""
    name = run.spec.get("objective")
    return last_values(run.folder).get(name) if name else None


def line_of(place: int, run: Run, label: str, now: float) -> Line:
    """Return what is told of a run."""
    cause = run.cause.message if run.cause is not None else None
    return Line(place, run.id, str(run.state), run.seconds(now), objective(run), label, cause)


def cells(line: Line) -> tuple[str, ...]:
    """Return a line as texts, in the order of `HEADER`."""
    took = "-" if line.seconds is None else duration(line.seconds)
    value = "-" if line.objective is None else f"{line.objective:.6g}"
    return (str(line.place), line.run, line.state, took, value, line.label)


def counted(states: Iterable[str]) -> str:
    """Return how many are in which state, `12 Completed, 1 Failed`; what is most first."""
    return ", ".join(f"{count} {state}" for state, count in Counter(states).most_common())


def tell(view: View, sweep: str, lines: Sequence[Line]) -> None:
    """Tell how the members of a sweep ended."""
    view.say()
    for text in table([HEADER, *map(cells, lines)]):
        view.say(text)
    for line in lines:
        if line.cause is not None:
            view.say(f"{line.run}: {line.cause}")
    view.say(f"sweep {sweep}")
    if any(line.state != "Completed" for line in lines):
        view.say(f"  next     python -m launcher sweeps resume {sweep}")
