"""Why an attempt failed: which process was first, how it ended, what it said last."""

from __future__ import annotations

import os
import re
import signal
from typing import Any

from . import record

_LAST_LINES = 20
_TAIL = 16384  # bytes

# What is said of the rank that was killed first: by Open MPI, MPICH and Intel MPI. srun names all.
_KILLED_FIRST = (
    re.compile(r"process rank (\d+) with PID \d+ on node \S+ exited on signal"),
    re.compile(r"RANK (\d+) PID \d+ RUNNING AT \S+\n=\s+KILLED BY SIGNAL"),
)
_KILLED = re.compile(r"srun: error: \S+ tasks? (\d+): Killed")


def how(who: dict[str, Any], several: bool) -> tuple[str, str]:
    """Return kind and message for a process that ended badly; `several`: name it by its rank."""
    kind = "exit" if who["signal"] is None else "signal"
    end = "exited with %s" % who["exit_code"] if kind == "exit" else "was killed by signal %s" % who["signal"]
    name = "rank %d" % who["rank"] if who["role"] == "worker" and several else who["role"]
    return kind, "%s on %s %s" % (name, who["node"], end)


def last_lines(run: str, log: str | None) -> list[str]:
    """Return the end of a log, whatever bytes it holds."""
    return tail_lines(os.path.join(run, log)) if log else []


def tail_lines(path: str) -> list[str]:
    """Return the last lines of a file that may not be there."""
    return tail(path).splitlines()[-_LAST_LINES:]


def tail(path: str) -> str:
    """Return the last 16 KiB of a file that may not be there."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            return file.read().decode("utf-8", "backslashreplace")
    except OSError:
        return ""


def failed_rank(folder: str, records: list[dict[str, Any]], log: str) -> dict[str, Any] | None:
    """Take note of how mpirun's ranks ended (rank.sh) and return the one that failed first.

    Args:
        folder: where rank.sh leaves `rank-N`: empty at its start, the exit code at its end.
        records: of the processes; those of ranks are completed.
        log: path of what mpirun said.
    """
    failed: list[tuple[int, dict[str, Any]]] = []
    cut: list[dict[str, Any]] = []  # killed before rank.sh could tell
    for who in records:
        try:
            with open(os.path.join(folder, "rank-%d" % who["rank"]), encoding="ascii") as file:
                text, when = file.read().strip(), os.fstat(file.fileno()).st_mtime_ns
        except OSError:
            continue
        if not text:
            who.update(ended=record.now(), exit_code=None, signal=int(signal.SIGKILL))
            cut.append(who)
            continue
        code = int(text)
        killed = code > 128  # noqa: PLR2004  # a shell's way of telling a signal
        who.update(
            ended=round(when / 1e9, 3),
            exit_code=None if killed else code,
            signal=code - 128 if killed else None,
        )
        if code != 0:
            failed.append((when, who))
    first = min(failed, key=lambda item: item[0])[1] if failed else None
    said = tail(log) if cut else ""
    named = [int(rank) for pattern in _KILLED_FIRST for rank in pattern.findall(said)]
    if not named and (first is None or first["signal"] == signal.SIGTERM):
        # mpirun ends the others by SIGTERM when one is killed.
        named = [int(rank) for rank in _KILLED.findall(said)]
        first = first if first and len(cut) != 1 else next(iter(cut), first)
    # Also where another has failed since, such as one that was still to write to mpirun.
    return next((who for who in cut if who["rank"] in named), first)
