"""The ends of files."""

from __future__ import annotations

import os

_LAST_LINES = 20
_TAIL = 16384  # bytes


def tail_lines(path: str) -> list[str]:
    """Return the last lines of a file that may not be there."""
    return tail(path).splitlines()[-_LAST_LINES:]


def tail(path: str, limit: int = _TAIL) -> str:
    """Return the last bytes of a file that may not be there."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - limit))
            return file.read().decode("utf-8", "backslashreplace")
    except OSError:
        return ""
