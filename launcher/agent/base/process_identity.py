"""What tells one process from all others, beyond the reuse of pids, and whether it still runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .record_types import Identity


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


def _machine() -> tuple[str, str, str]:
    """Return host, boot and process namespace of this process."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            boot = file.read().strip()
        pid_namespace = os.readlink("/proc/self/ns/pid")
    except (FileNotFoundError, PermissionError):  # a system without them
        boot = pid_namespace = ""
    return os.uname().nodename, boot, pid_namespace


def identity(pid: int | None = None) -> Identity:
    """Return what identifies a process (this one by default) beyond the reuse of its pid."""
    pid = os.getpid() if pid is None else pid
    host, boot, pid_namespace = _machine()
    return {
        "host": host,
        "boot": boot,
        "pid_namespace": pid_namespace,
        "pid": pid,
        "started": _start_ticks(pid),
    }


def is_alive(who: Mapping[str, Any]) -> bool | None:
    """Return whether the process of `identity()` still runs; None if that cannot be seen from here."""
    try:
        return _is_alive(who)
    except OSError:
        return None


def _is_alive(who: Mapping[str, Any]) -> bool | None:
    host, boot, pid_namespace = _machine()
    if who.get("boot") != boot:
        return False if who.get("host") == host else None
    if who.get("pid_namespace") != pid_namespace:
        return None
    ticks = _start_ticks(int(who["pid"]))
    return ticks is not None and ticks == who.get("started")  # None: was dead when it was asked for
