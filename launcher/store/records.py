"""The agent's record functions, typed, on paths: the one door to the JSON files of a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from launcher.agent import record

if TYPE_CHECKING:
    from pathlib import Path

Record = Mapping[str, Any]
"""A JSON object of the store."""

now = record.now


def read(path: Path) -> dict[str, Any] | None:
    """Return a record, or None where there is none that can be read."""
    return record.read(str(path))


def write(path: Path, value: Record) -> None:
    """Put a record in place, whole, over an older one."""
    record.write(str(path), value)


def create(path: Path, value: Record) -> bool:
    """Create a record unless it exists; tell whether it now holds `value`."""
    return record.create(str(path), value)


def remove(path: Path) -> None:
    """Remove a file that may be gone."""
    record.remove(str(path))


def encode(value: object) -> bytes:
    """Return JSON as bytes; any file name survives, also one that is not UTF-8."""
    return record.encode(value)


def owner() -> dict[str, Any]:
    """Return what identifies this process beyond the reuse of its pid."""
    return record.owner()


def alive(who: Record) -> bool | None:
    """Tell whether the process of `owner()` still runs; None where it cannot be seen from here."""
    return record.alive(dict(who))
