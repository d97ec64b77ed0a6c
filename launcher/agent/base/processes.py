"""Processes as Linux sees them: subreaper, parent-death signal, descendants, network interface."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time

_PR_SET_PDEATHSIG = 1  # prctl(2)
_PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent(signum: int = signal.SIGKILL) -> None:
    """Get `signum` when the parent ends. Safe between fork and exec."""
    _libc.prctl(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0)


_CLONE_NEWNS = 0x00020000  # unshare(2), mount(2)
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_SLAVE = 0x1, 0x20, 0x1000, 0x4000, 0x80000
_MS_KEPT = 0x2 | 0x4 | 0x8 | 0x400  # nosuid, nodev, noexec, noatime: as the file system has them


def protect(folder: str) -> None:
    """Make a folder read-only for this process and its children; best effort, needs root.

    Modes do not bind root. Safe between fork and exec: it only makes system calls.
    """
    path = os.fsencode(folder)
    try:
        kept = os.statvfs(path).f_flag & _MS_KEPT
    except OSError:
        return
    if _libc.unshare(_CLONE_NEWNS) != 0:
        return
    # What the machine mounts later stays visible here; what is mounted here stays here.
    if _libc.mount(b"none", b"/", None, _MS_REC | _MS_SLAVE, None) != 0:
        return
    if _libc.mount(path, path, None, _MS_BIND, None) == 0:
        _libc.mount(b"none", path, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | kept, None)


def parents() -> dict[int, int]:
    """Return the parent of every process on this machine."""
    found: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/stat" % name, "rb") as file:
                    found[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
    return found


def children() -> list[int]:
    """Return this process's children, dead ones that nobody waited for included."""
    try:
        with open("/proc/self/task/%d/children" % os.getpid(), "rb") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN
        me = os.getpid()
        return [pid for pid, parent in parents().items() if parent == me]


def descendants(root: int) -> list[int]:
    """Return all processes below `root`, parents first."""
    below: dict[int, list[int]] = {}
    for pid, parent in parents().items():
        below.setdefault(parent, []).append(pid)
    found: list[int] = []
    queue = [root]
    while queue:
        nexts = below.get(queue.pop(), [])
        found += nexts
        queue += nexts
    return found


def handles(pid: int, signum: int) -> bool:
    """Tell whether a process has a handler of its own for a signal (proc(5), SigCgt)."""
    try:
        with open("/proc/%d/status" % pid) as file:
            caught = next(line for line in file if line.startswith("SigCgt:"))
    except (OSError, StopIteration):
        return False
    return bool(int(caught.split()[1], 16) & 1 << (signum - 1))


def program(pid: int) -> str:
    """Return the name of the program that a process runs, at most 15 characters."""
    try:
        with open("/proc/%d/comm" % pid) as file:
            return file.read().strip()
    except OSError:
        return ""


def send(pid: int, signum: int) -> None:
    """Signal a process that may be gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signum)


def send_group(pid: int, signum: int) -> None:
    """Signal a process group that may be gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signum)


def end_descendants(patience_s: float = 10.0) -> None:
    """Kill everything below this process, also what detached itself; needs `adopt_orphans`."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        left = descendants(os.getpid())
        for pid in left:
            send(pid, signal.SIGKILL)
        while True:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    break
            except ChildProcessError:
                break
        if not left:
            return
        time.sleep(0.01)


def has_variable(pid: int, entries: set[bytes]) -> bool:
    """Tell whether a process was started with one of these `NAME=value` in its environment."""
    try:
        with open("/proc/%d/environ" % pid, "rb") as file:
            return not entries.isdisjoint(file.read().split(b"\0"))
    except OSError:
        return False


def marked(entries: set[bytes]) -> list[int]:
    """Return every process that was started with one of these `NAME=value` in its environment."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and has_variable(int(name), entries)]


def command_line(pid: int) -> bytes:
    """Return the words that a process was started with, each ended by a zero byte."""
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            return file.read()
    except OSError:
        return b""


def members_of(space: str) -> list[int]:
    """Return every process of a process namespace, as /proc/PID/ns/pid names it."""
    found: list[int] = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and os.readlink("/proc/%s/ns/pid" % name) == space:
                found.append(int(name))
    return found


def end_marked(entries: set[bytes], patience_s: float = 5.0) -> None:
    """Kill this process's children that carry a variable of `entries`, with all that is below them.

    Repeated until none is left: while one dies, what it just started becomes this process's child.
    """
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        left = [pid for pid in children() if has_variable(pid, entries)]
        if not left:
            return
        for pid in left:
            end_tree(pid)
        time.sleep(0.002)


def end_tree(pid: int) -> None:
    """Kill a process and all that is below it."""
    for below in [*descendants(pid), pid]:
        send(below, signal.SIGKILL)
