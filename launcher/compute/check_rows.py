"""Rows of `launcher compute check` that every compute target has."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from uuid import uuid4

from launcher.capabilities import BAD, OK, WARN, Row

SYSTEMD = Path("/run/systemd/system")
"""There where systemd runs (sd_booted(3))."""

_TOOL_S = 10


def output(*argv: str) -> str | None:
    """Return what a program prints; None where it is missing, fails or hangs."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TOOL_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def writable(what: str, folder: Path, next_step: str) -> Row:
    """Return whether files can be made in a folder, or in the nearest one above it that is there."""
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    probe = there / f".launcher-check-{uuid4().hex[:8]}"
    try:
        probe.touch(0o600)
        probe.unlink()
    except OSError as error:
        return Row(what, BAD, f"{folder}: {error.strerror}", next_step)
    made = "" if there == folder else " (made when it is needed)"
    return Row(what, OK, f"{folder}, {free_gib(there):.0f} GiB free{made}")


def background(systemd: Path = SYSTEMD) -> Row:
    """Return whether what is detached goes on after a logout."""
    what = "background"
    if not systemd.is_dir():
        return Row(what, OK, "no systemd here: a logout ends nothing")
    told = output("loginctl", "show-user", "--property=KillUserProcesses", "--property=KillExcludeUsers")
    if told is None:
        return Row(what, WARN, "loginctl does not answer", "See KillUserProcesses in logind.conf")
    settings = {line.partition("=")[0]: line.partition("=")[2] for line in told.splitlines()}
    spared = os.getuid() == 0 and "root" in settings.get("KillExcludeUsers", "").split()
    if settings.get("KillUserProcesses") != "yes" or spared:
        return Row(what, OK, "a logout ends nothing (KillUserProcesses=no)")
    step = "loginctl enable-linger, then launch by systemd-run --user --scope"
    return Row(what, WARN, "your logout ends your processes (KillUserProcesses=yes)", step)


def free_gib(folder: Path) -> float:
    """Return the free space of the disk that a folder is on."""
    told = os.statvfs(folder)
    return told.f_bavail * told.f_frsize / 2**30
