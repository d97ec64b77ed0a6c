"""A parent that outlives its child for one purpose: that nothing is left when the child is killed."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable  # only in annotations on 3.8

from .system import adopt_orphans, die_with_parent, end_descendants, send


def guarded(main: Callable[[], int], lost: Callable[[], None], with_parent: bool) -> None:
    """Run `main` in a child and exit with its code; never returns.

    The guard is killed: the child is told by SIGTERM and ends its processes. The child is killed: its
    processes become the guard's, which ends them all and then calls `lost`. Both are subreapers, so a
    process that detached itself is found as well.

    Args:
        main: the work; returns the exit code.
        lost: what to record when the child was killed.
        with_parent: end when the parent of the guard ends.
    """
    parent = os.getppid()
    adopt_orphans()
    if with_parent:
        die_with_parent(signal.SIGTERM)
    guard = os.getpid()
    child = os.fork()
    if child == 0:
        _work(main, guard)
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, lambda number, frame: send(child, signal.SIGTERM))
    if with_parent and os.getppid() != parent:
        send(child, signal.SIGTERM)
    status = _wait(child)
    end_descendants()
    if os.WIFSIGNALED(status):
        lost()
        os._exit(1)
    os._exit(os.WEXITSTATUS(status))


def _work(main: Callable[[], int], guard: int) -> None:
    die_with_parent(signal.SIGTERM)
    adopt_orphans()
    code = 1
    try:
        if os.getppid() == guard:
            code = main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait(child: int) -> int:
    """Wait for the child, and for orphans on the way."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            return status
