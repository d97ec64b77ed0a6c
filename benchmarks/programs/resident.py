"""Prints the largest resident memory of this machine's agents, in MB; the first rank alone, of many."""

import os
from pathlib import Path


def resident(pid: str) -> int:
    """Return what a process has in memory (kB), 0 unless it is an agent."""
    try:
        if b"/agents/" not in Path("/proc", pid, "cmdline").read_bytes():
            return 0
        status = Path("/proc", pid, "status").read_text(encoding="utf-8")
    except OSError:
        return 0
    return int(status.partition("VmRSS:")[2].split()[0]) if "VmRSS:" in status else 0


if os.environ["RANK"] == "0":
    print("resident", max(map(resident, filter(str.isdigit, os.listdir("/proc")))) / 1000, flush=True)
