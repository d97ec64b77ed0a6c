"""Whether the kernel killed processes of this job for its memory, as its control group counts them."""

from __future__ import annotations

import os
import re

_TOP = "/sys/fs/cgroup"


def oom_kills(top: str = _TOP, own: str = "/proc/self/cgroup") -> int:
    """Return how many processes of this one's control group were killed so far; 0 where nobody counts."""
    try:
        with open(own) as file:
            lines = [line.strip().split(":", 2) for line in file]
    except OSError:
        return 0
    for number, controllers, path in lines:
        if "memory" in controllers.split(","):
            return _count(os.path.join(top, "memory"), path, "memory.oom_control")
        if number == "0" and not any("memory" in other.split(",") for _, other, _ in lines):
            return _count(top, path, "memory.events")
    return 0


def _count(top: str, path: str, name: str) -> int:
    """Read the counter of a group; in a container or namespace the head of its path is not seen."""
    parts = path.strip("/").split("/")
    for first in range(len(parts) + 1):
        try:
            with open(os.path.join(top, *parts[first:], name)) as file:
                found = re.search(r"^oom_kill (\d+)$", file.read(), re.MULTILINE)
        except OSError:
            continue
        return int(found.group(1)) if found else 0
    return 0
