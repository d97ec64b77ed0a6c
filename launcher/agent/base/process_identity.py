"""What tells one process from all others, beyond the reuse of pids, and whether it still runs."""

from __future__ import annotations

import os
from typing import Any


def _start_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks after boot (proc(5), field 22 of stat); None: it is gone.

    Raises:
        OSError: this process cannot find out, such as one with no descriptor or memory left.
    """
    try:
        with open("/proc/%d/stat" % pid, "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def _machine() -> dict[str, Any]:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            boot = file.read().strip()
        pid_namespace = os.readlink("/proc/self/ns/pid")
    except (FileNotFoundError, PermissionError):  # a system without them
        boot = pid_namespace = ""
    return {"host": os.uname().nodename, "boot": boot, "pid_namespace": pid_namespace}


def identity(pid: int | None = None) -> dict[str, Any]:
    """Return what identifies a process (this one by default) beyond the reuse of its pid."""
    pid = os.getpid() if pid is None else pid
    return dict(_machine(), pid=pid, started=_start_ticks(pid))


def is_alive(who: dict[str, Any]) -> bool | None:
    """Return whether the process of `identity()` still runs; None if that cannot be seen from here."""
    try:
        return _is_alive(who)
    except OSError:
        return None


def _is_alive(who: dict[str, Any]) -> bool | None:
    here = _machine()
    if who.get("boot") != here["boot"]:
        return False if who.get("host") == here["host"] else None
    if who.get("pid_namespace") != here["pid_namespace"]:
        return None
    ticks = _start_ticks(int(who["pid"]))
    return ticks is not None and ticks == who.get("started")  # None: was dead when it was asked for
