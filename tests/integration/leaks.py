"""Where a secret is that should be nowhere."""

from __future__ import annotations

from pathlib import Path


def leaks(needle: str, *folders: Path) -> list[str]:
    """Return the files and command lines that hold a text."""
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    files += Path("/proc").glob("[0-9]*/cmdline")
    found: list[str] = []
    for file in files:
        try:
            content = file.read_bytes()
        except OSError:  # a process that has ended
            continue
        if needle.encode() in content or needle in str(file):
            found.append(str(file))
    return found
