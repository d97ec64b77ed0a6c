"""Room for the last words of an attempt, taken at its start, so that a disk which fills up keeps none out.

    attempts/<k>/.state.room   becomes the attempt's record with its outcome
    attempts/<k>/.end.room     becomes the end of the run

They are written over only if there is no other room, and are gone when the attempt is over.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Any

from . import atomic_json

if TYPE_CHECKING:
    from collections.abc import Mapping

STATE, END = ".state.room", ".end.room"

SIZE = 1 << 14
"""Bytes of each; a record that is longer loses the last lines of the log."""

FULL = (errno.ENOSPC, errno.EDQUOT)

LEAST = 1 << 16
"""Bytes below which a disk counts as full: a program that had no room for more may have left so many."""

WORDS = ("No space left on device", "Disk quota exceeded")


def take(folder: str) -> None:
    """Take the room.

    Raises:
        OSError: there is none.
    """
    for name in (STATE, END):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(b" " * SIZE)


def release(folder: str) -> None:
    """Give back what was not used."""
    for name in (STATE, END):
        atomic_json.remove(os.path.join(folder, name))


def write(folder: str, path: str, value: Mapping[str, Any]) -> None:
    """Put an attempt's record in place, as `record.write` does."""
    try:
        atomic_json.write(path, value)
    except OSError as error:
        if error.errno not in FULL:
            raise
        os.replace(_filled(os.path.join(folder, STATE), value, error), path)
    atomic_json.remove(os.path.join(folder, STATE))


def create(folder: str, path: str, value: Mapping[str, Any]) -> None:
    """Create the end of a run unless it exists, as `record.create` does."""
    try:
        atomic_json.create(path, value)
    except OSError as error:
        if error.errno not in FULL:
            raise
        room = _filled(os.path.join(folder, END), value, error)
        try:
            os.link(room, path)
        except FileExistsError:
            pass
        except OSError:  # tmpfs counts links as files
            if not os.path.lexists(path):
                os.rename(room, path)
        atomic_json.remove(room)


def _filled(room: str, value: Mapping[str, Any], full: OSError) -> str:
    data = atomic_json.seal(value)
    if len(data) > SIZE and value.get("cause"):
        data = atomic_json.seal(dict(value, cause=dict(value["cause"], last_lines=[])))
    if len(data) > SIZE:
        raise full
    try:
        fd = os.open(room, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # used already
        raise full from None
    try:
        os.write(fd, data)
        os.ftruncate(fd, len(data))
    finally:
        os.close(fd)
    return room


def complaint(path: str, lines: list[str] | None = None) -> str:
    """Return that the disk of a path is full, in words; nothing if it is not.

    Args:
        path: on the disk.
        lines: the end of a log, which may tell of a disk that has room again.
    """
    with contextlib.suppress(OSError):
        disk = os.statvfs(path)
        free = disk.f_bavail * disk.f_frsize
        if free < LEAST:
            return _words(path, "%d KiB are free" % (free >> 10))
        if disk.f_files and not disk.f_favail:
            return _words(path, "no more files fit")
    said = [word for word in WORDS if any(word in line for line in lines or ())]
    return "a disk is full: the log says %r" % said[0] if said else ""


def _words(path: str, what: str) -> str:
    hint = "remove runs with `launcher runs delete`, or give another store"
    return "the store's disk is full: %s: %s; %s" % (path, what, hint)
