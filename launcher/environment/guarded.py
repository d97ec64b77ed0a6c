"""Run a command so that nothing of it outlives the process that asked for it.

    python -I -S guarded.py COMMAND...

The asker holds the write end of this process's standard input. Its end, however it comes (`kill -9`
included), closes the pipe; then every descendant of the command is killed, also those that left the
process group or were orphaned. Two such guards stand around the command, so that the end of one of
them is noticed by the other. The exit code is the command's, or 128 + signal.

Standard library only: it is started with `-I -S` by whatever Python runs the launcher.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


def _parents() -> dict[int, int]:
    """Return the parent of every process of this machine."""
    parents: dict[int, int] = {}
    with os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    stat = Path(entry.path, "stat").read_bytes()
                    parents[int(entry.name)] = int(stat.rpartition(b")")[2].split()[1])
    return parents


def descendants(root: int) -> list[int]:
    """Return the processes below `root`, parents first."""
    parents = _parents()
    found = [root]
    for known in found:  # grows while it is walked
        found += [pid for pid, parent in parents.items() if parent == known]
    return found[1:]


def _end_all() -> None:
    """Kill and reap until nothing is left below this process."""
    while True:
        for pid in descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        select.select([], [], [], 0.005)


def _code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _reaped(child: int) -> int | None:
    """Reap what has ended; return the child's exit code if it is among them."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == child:
                return _code(status)
            if pid == 0:
                return None
    return 255


def _ignore(_signal: int, _frame: FrameType | None) -> None:
    """Let a signal do no more than wake `select`."""


def guard(watched: int, body: Callable[[int], None]) -> int:
    """Run `body` in a child until it ends or `watched` is closed at its other end; end all below it."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    below, held = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(held)
        os.close(watched)
        body(below)
        os._exit(127)
    os.close(below)
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, _ignore)
    for ending in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(ending, lambda number, _: (_end_all(), os._exit(128 + number)))
    code = _reaped(child)
    while code is None:
        ready, _, _ = select.select([watched, wake], [], [])
        if watched in ready:
            code = 128 + signal.SIGKILL
        else:
            os.read(wake, 4096)
            code = _reaped(child)
    _end_all()
    return code


def main(command: list[str]) -> int:
    """Run the command under two guards."""

    def run(watched: int) -> None:
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.close(watched)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        try:
            os.execvp(command[0], command)  # noqa: S606  # no shell, on purpose
        except OSError as error:
            print(f"{command[0]}: {error.strerror}", file=sys.stderr, flush=True)  # noqa: T201  # its only voice
            os._exit(127)

    def inner(watched: int) -> None:
        os._exit(guard(watched, run))

    return guard(0, inner)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
