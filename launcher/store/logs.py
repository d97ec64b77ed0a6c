"""Logs of a run's processes: where they are, and their bytes as they arrive.

Polling and not inotify, which sees nothing of what other hosts write over NFS.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.agent.base.process_logs import planned_processes, process_name
from launcher.store import records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from launcher.paths import RunFolder

QUICK_S, SLOW_S = 0.01, 0.05
"""Pauses between two looks: quick while lines come, then as slow as keeps a line's delay below 100 ms."""

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """The log of one process in one attempt."""

    process: str
    """`worker-0`."""
    attempt: int
    paths: tuple[Path, ...]
    """While the attempt runs, and from then on; the first that exists counts."""
    rank: int | None
    """None for a process that has none, such as mpirun."""


def follow_lines(paths: Sequence[Path], follow: Callable[[], bool]) -> Iterator[bytes]:
    """Yield whole lines as they are written, from the start of the first file that exists, now or later.

    Ends when `follow()` was false and all that had been written by then is read; what is left without
    an end of line comes last. A file that was cut or replaced is read anew.
    """
    reader = LogReader(paths)
    pause = QUICK_S
    on = True
    try:
        while True:
            on = on and follow()  # asked before the look: nothing written until its "no" is missed
            lines = reader.read_lines()
            if lines:
                yield lines
                pause = QUICK_S
                continue
            if not on:
                rest = reader.rest()
                if rest:
                    yield rest
                return
            time.sleep(pause)
            pause = min(SLOW_S, pause * 1.25)
    finally:
        reader.close()


class LogReader:
    """What was added to a log since the last look."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._path = paths[0]
        self._file: BinaryIO | None = None
        self._partial = b""

    def read_lines(self) -> bytes:
        """Return new whole lines, none while there are none."""
        data = self.read()
        if not data:
            return b""
        head, newline, self._partial = (self._partial + data).rpartition(b"\n")
        if not newline and len(self._partial) > CHUNK:  # a progress bar of megabytes: do not wait for its end
            return self.rest()
        return head + newline

    def rest(self) -> bytes:
        """Return what has no end of line yet."""
        rest, self._partial = self._partial, b""
        return rest

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def read(self) -> bytes:
        """Return new bytes; none while there is no such file."""
        for path in self._paths if self._file is None else ():
            try:
                self._file = open(path, "rb", buffering=0)  # noqa: PTH123, SIM115  # polled
            except OSError:
                continue
            self._path = path
            break
        if self._file is None:
            return b""
        data = self._file.read(CHUNK)
        if data:
            return data
        if self._replaced(self._file):
            self.close()
            self._partial = b""
        return b""

    def _replaced(self, file: BinaryIO) -> bool:
        try:
            now, ours = self._path.stat(), os.fstat(file.fileno())
        except OSError:
            return False
        return now.st_ino != ours.st_ino or now.st_size < file.tell()


def logs(folder: RunFolder, attempt: int | None = None) -> list[Log]:
    """Return the logs of an attempt, by default the newest, rank 0 first and mpirun's own last.

    They are those that the attempt's record names, before it has one those of the plan, so a file need
    not exist yet.
    """
    taken = folder.attempts()
    number = attempt if attempt is not None else (taken[-1] if taken else 0)
    state = records.read(folder.attempt_state(number)) or {}
    plan: Any = (records.read(folder.spec) or {}).get("plan") or {}
    processes = state.get("processes") or planned_processes(plan)
    found: list[Log] = []
    for process in processes:
        name = process_name(process)
        rank = process["rank"] if process["rank"] >= 0 else None
        found.append(
            Log(process=name, attempt=number, paths=folder.attempt_log(number, f"{name}.log"), rank=rank)
        )
    return sorted(found, key=lambda log: (log.rank is None, log.rank or 0))
