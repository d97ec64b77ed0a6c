"""A parent that outlives its child for one purpose: that nothing is left when the child is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

from .processes import adopt_orphans, die_with_parent, end_descendants, send

if TYPE_CHECKING:
    from collections.abc import Callable


_SCRIPT = (
    "import sys; sys.path.append(sys.argv[1]); from base.guard import run_command; run_command(sys.argv[2:])"
)

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


def guarded_argv(argv: list[str]) -> list[str]:
    """Return the command that runs another so that nothing of it outlives its standard input, a pipe.

    The end of the process that holds the other end closes the pipe, `kill -9` included. The exit code is
    the command's, or 128 + signal.
    """
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return [sys.executable, "-I", "-S", "-c", _SCRIPT, folder, *argv]


def run_command(argv: list[str]) -> None:
    """Run a command guarded, see `guarded_argv`; never returns."""
    guarded(lambda: _run(argv), lambda: None, with_parent=False)


def _run(argv: list[str]) -> int:
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_await_end_of_input, args=(threading.get_ident(),), daemon=True).start()
    null = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
    try:
        child = os.posix_spawnp(argv[0], argv, os.environ, file_actions=null, setsigdef=[signal.SIGUSR2])
    except OSError as error:
        print("%s: %s" % (argv[0], error.strerror), file=sys.stderr)
        return 127
    status = _wait(child)
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def _end(_number: int, _frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not interrupt the clean-up
    sys.exit(128 + signal.SIGKILL)


def _await_end_of_input(main_thread: int) -> None:
    os.read(0, 1)
    while True:  # a signal that arrives just before waitpid(2) does not interrupt it
        signal.pthread_kill(main_thread, signal.SIGTERM)
        time.sleep(0.1)
