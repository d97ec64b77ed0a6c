"""A parent that outlives its child for one purpose: that nothing is left when the child is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

from .processes import adopt_orphans, die_with_parent, end_descendants, send

if TYPE_CHECKING:
    from collections.abc import Callable


_guard: int | None = None
"""The process that guards this one."""


def unguarded() -> bool:
    """Return whether this process had a guard that was killed; the kernel reports that by SIGTERM."""
    return _guard is not None and os.getppid() != _guard


def guarded(main: Callable[[], int], lost: Callable[[], None], with_parent: bool) -> None:
    """Run `main` in a child and exit with its code; never returns.

    The guard is killed: the child is told by SIGTERM and ends its processes. The child is killed: its
    processes become the guard's, which ends them all and then calls `lost`, as it does when the child
    ended by an error of its own. Both are subreapers, so a process that detached itself is found as well.

    Args:
        main: the work; returns the exit code.
        lost: what to do when the child was killed or broke down.
        with_parent: end when the parent of the guard ends.
    """
    parent = os.getppid()
    adopt_orphans()
    if with_parent:
        die_with_parent(signal.SIGTERM)
    guard = os.getpid()
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # until somebody handles it
    child = os.fork()
    if child == 0:
        _work(main, guard)
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, lambda _number, _frame: send(child, signal.SIGTERM))
    signal.signal(signal.SIGUSR2, lambda _number, _frame: send(child, signal.SIGUSR2))
    if with_parent and os.getppid() != parent:
        send(child, signal.SIGTERM)
    status = _wait(child)
    end_descendants()
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1
    if code != 0:
        lost()
    os._exit(code)


def _work(main: Callable[[], int], guard: int) -> None:
    global _guard  # noqa: PLW0603  # a fact of the process, as its parent is
    _guard = guard
    die_with_parent(signal.SIGTERM)
    adopt_orphans()
    code = 1
    try:
        if os.getppid() == guard:
            code = main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001  # whatever it was: it is told, and the guard takes over
        import traceback  # noqa: PLC0415  # 2 ms that a good end does not need

        with contextlib.suppress(OSError):  # the log is on the disk that is full
            traceback.print_exc()
    finally:
        end_descendants()  # the guard may be gone
        for stream in filter(None, (sys.stdout, sys.stderr)):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(code)


def _wait(child: int) -> int:
    """Wait for the child, and for orphans on the way."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            return status
