"""The agent's record functions, typed, on paths: the one door to the JSON files of a run folder.

`load` tells a record that is damaged from one that does not exist: it checks the checksum, the version of the
record and the shape that the file's name asks for. `read` is for who can go on without the record.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from launcher.agent.base import atomic_json, process_identity

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.agent.base.record_types import Identity
    from launcher.errors import Problem

Record = Mapping[str, Any]
"""A JSON object of the store."""

RETRIES = 2
"""How often a file is opened again that another host has just replaced (ESTALE)."""

now = atomic_json.now


class Damage(NamedTuple):
    """A record that cannot be used, and why."""

    path: Path
    field: str
    """Such as `phases[0]`; empty if it is the file as a whole."""
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.field}: {self.reason}" if self.field else f"{self.path}: {self.reason}"


def load(path: Path) -> dict[str, Any] | Damage | None:
    """Return a record, None if it does not exist, or its damage."""
    try:
        value = atomic_json.parse(_bytes(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return Damage(path, "", f"it cannot be read: {error.strerror}")
    except ValueError as error:
        return Damage(path, "", str(error))
    from launcher.store.shapes import shape_of  # noqa: PLC0415  # 2 ms that a list of ended runs does not need

    schema = value.get("schema", atomic_json.SCHEMA)
    if isinstance(schema, int) and schema > atomic_json.SCHEMA:
        by = f"launcher {value['launcher']}" if isinstance(value.get("launcher"), str) else "a newer launcher"
        return Damage(
            path, "schema", f"got {schema}; expected {atomic_json.SCHEMA}. {by} wrote it: update launcher"
        )
    if schema != atomic_json.SCHEMA:
        return Damage(path, "schema", f"got {schema!r}; expected {atomic_json.SCHEMA}")
    return damage_of(path, shape_of(path.name)("", value)) or value


def damage_of(path: Path, problem: Problem | None) -> Damage | None:
    """Return the damage that a check of `launcher.store.shapes` found."""
    if problem is None:
        return None
    return Damage(path, problem.key, f"got {problem.given!r}; expected {problem.expected}")


def _bytes(path: Path) -> bytes:
    for _ in range(RETRIES):
        try:
            return path.read_bytes()
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
    return path.read_bytes()


def read(path: Path) -> dict[str, Any] | None:
    """Return a record, or None where there is none that can be used."""
    found = load(path)
    return None if isinstance(found, Damage) else found


def write(path: Path, value: Record) -> None:
    """Put a record in place, whole, over an older one."""
    atomic_json.write(str(path), value)


def create(path: Path, value: Record) -> bool:
    """Create a record unless it exists; tell whether it now holds `value`."""
    return atomic_json.create(str(path), value)


def remove(path: Path) -> None:
    """Remove a file that may be gone."""
    atomic_json.remove(str(path))


def seal(value: object) -> bytes:
    """Return JSON as bytes with its checksum; any file name survives, also one that is not UTF-8."""
    return atomic_json.seal(value)


def owner() -> Identity:
    """Return what identifies this process beyond the reuse of its pid."""
    return process_identity.identity()


def alive(who: Record) -> bool | None:
    """Tell whether the process of `owner()` still runs; None where it cannot be seen from here."""
    return process_identity.is_alive(dict(who))
