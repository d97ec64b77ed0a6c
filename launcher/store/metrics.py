"""Results of a run: its metrics, one file of JSON lines a process, and what a Hydra app's task returned."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from launcher.store import records

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from launcher.paths import RunFolder
    from launcher.store.records import Record
    from launcher.store.run_state import Run

ROLES = ("chief", "worker", "evaluator", "ps")
"""Whose value counts where several processes log the same name: the first of these, lowest index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One value that a process logged."""

    name: str
    value: float
    step: float | None
    time: float | None
    """Seconds since the epoch."""
    process: str
    """`worker-0`."""


def last_values(folder: RunFolder) -> dict[str, float]:
    """Return the last value of each metric, of the process whose value counts."""
    values: dict[str, float] = {}
    for file in _files(folder):
        own = {point.name: point.value for point in _points(file)}
        values = {**own, **values}
    return values


def objective(run: Run) -> float | None:
    """Return the last value of the metric that the spec names, else the number that the task returned."""
    name = run.spec.get("objective")
    if name:
        return last_values(run.folder).get(name)
    value = return_value(run)
    return None if isinstance(value, bool) else _number(value)


def return_value(run: Run) -> Any:
    """Return what the task of a Hydra app returned, None where there is none."""
    return return_record(run).get("value")


def return_record(run: Run) -> Record:
    """Return the record of a task's value: `value`, and in `lost` why JSON cannot hold it."""
    return (records.read(run.folder.returned) or {}) if run.spec.get("app") else {}


def series(folder: RunFolder) -> dict[str, list[Point]]:
    """Return all values of each metric, process by process, in the order in which they were logged."""
    found: dict[str, list[Point]] = {}
    for file in _files(folder):
        for point in _points(file):
            found.setdefault(point.name, []).append(point)
    return found


def _files(folder: RunFolder) -> list[Path]:
    return sorted(folder.metrics.glob("*.jsonl"), key=_rank)


def _rank(file: Path) -> tuple[int, str, int]:
    role, _, index = file.stem.rpartition("-")
    place = ROLES.index(role) if role in ROLES else len(ROLES)
    return place, role, int(index) if index.isdecimal() else 0


def _points(file: Path) -> Iterator[Point]:
    try:
        data = file.read_bytes()
    except OSError:
        return
    for line in data.split(b"\n"):
        point = _parse(line, file.stem)
        if point is not None:
            yield point


def _parse(line: bytes, process: str) -> Point | None:
    """Return the point of a line, None for one that is torn or something else."""
    try:
        data: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    fields = cast("dict[str, Any]", data)
    name, value = fields.get("name"), _number(fields.get("value"))
    if not isinstance(name, str) or value is None:
        return None
    step, time = _number(fields.get("step")), _number(fields.get("time"))
    return Point(name=name, value=value, step=step, time=time, process=process)


def _number(value: Any) -> float | None:
    try:
        return float(value) if isinstance(value, (int, float)) else None
    except OverflowError:  # JSON knows no biggest number
        return None
