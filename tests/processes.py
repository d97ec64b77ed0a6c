"""Daemons started apart from this process, found again by process id and start time."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

from launcher.agent.base.tmp import is_own

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

# The shell leaves at once, so that nobody is the daemon's parent but init. The record is written before
# anything else can fail: a process id alone might be another's by the time it is killed.
SPAWN = """
record=$1 log=$2; shift 2
"$@" </dev/null >>"$log" 2>&1 &
echo "$! $(cut -d' ' -f22 "/proc/$!/stat")" >"$record"
"""


def run(*argv: str | int | Path, env: Mapping[str, str] | None = None, check: bool = True) -> str:
    """Return what a command prints.

    Raises:
        RuntimeError: it failed; the message holds what it said.
    """
    done = subprocess.run(
        [str(word) for word in argv],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(map(str, argv))}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def wait_for(condition: Callable[[], bool], what: str, limit_s: float = 60) -> None:
    """Return when a condition holds.

    Raises:
        TimeoutError: it does not within the limit.
    """
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {limit_s} s: {what}")
        time.sleep(0.02)


def listens(address: str | tuple[str, int]) -> bool:
    """Return whether somebody takes connections at a path or a port."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as probe:
        return probe.connect_ex(address) == 0


class Processes:
    """Long-lived processes, each with a record in one folder.

    Raises:
        PermissionError: another user made the folder, whose records tell what root kills and removes.
    """

    def __init__(self, records: Path, logs: Path) -> None:
        for folder in (records.parent, records):
            if os.path.lexists(folder) and not is_own(str(folder)):
                raise PermissionError(f"{folder} belongs to another user: name another folder with --state")
        self._records = records
        self._logs = logs

    def spawn(self, name: str, argv: Sequence[str | Path], env: Mapping[str, str]) -> None:
        """Start a process that outlives this one; its output goes to the log of its name."""
        words = [str(word) for word in argv]
        record, log = str(self._records / name), str(self._logs / f"{name}.out")
        run("setsid", "sh", "-c", SPAWN, "sh", record, log, *words, env={**os.environ, **env})

    def adopt(self, name: str, pid: int) -> None:
        """Record a process that another of these has started."""
        (self._records / name).write_text(f"{pid} {_start_time(pid)}\n", encoding="utf-8")

    def pid(self, name: str) -> int | None:
        """Return the id of a process if it still runs."""
        try:
            pid, start = (self._records / name).read_text(encoding="utf-8").split()
        except (FileNotFoundError, ValueError):
            return None
        return int(pid) if start == _start_time(int(pid)) else None

    def names(self) -> list[str]:
        return sorted(record.name for record in self._records.iterdir()) if self._records.is_dir() else []

    def kill(self, *names: str) -> None:
        """Kill processes, wait until they are gone, and forget them."""
        for name in names:
            if pid := self.pid(name):
                os.kill(pid, signal.SIGKILL)
        for name in names:
            wait_for(lambda name=name: self.pid(name) is None, f"{name} is gone after SIGKILL")
            (self._records / name).unlink(missing_ok=True)


def _start_time(pid: int) -> str | None:
    """Return when a process started, in ticks since boot; None if it is gone or only waits to be reaped."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:  # noqa: PTH123  # no Path for /proc
            fields = stat.read().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]  # state is field 3 of proc(5), the start time field 22
