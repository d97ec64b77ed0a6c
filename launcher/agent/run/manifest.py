"""What a run left: sizes and times at once, hashes as far as a bounded time allows."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from stat import S_ISREG
from typing import TYPE_CHECKING

from ..base import atomic_json

if TYPE_CHECKING:
    from typing import TypedDict

    class Entry(TypedDict, total=False):
        """A file of the manifest."""

        size: int
        mtime: float
        sha256: str
        """Absent where the time did not allow it."""


_PARTS = ("outputs", "logs", "metrics")


def _files(root: str) -> list[tuple[str, os.stat_result]]:
    found: list[tuple[str, os.stat_result]] = []
    for part in _PARTS:
        top = os.path.join(root, part)
        if os.path.islink(top) and not os.path.realpath(top).startswith(os.path.realpath(root) + os.sep):
            found.append((top, os.lstat(top)))  # what lies elsewhere may be anything
            continue
        for folder, _, names in os.walk(top):
            for name in names:
                path = os.path.join(folder, name)
                try:
                    found.append((path, os.lstat(path)))
                except OSError:
                    continue
    return found


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def write_manifest(root: str, hash_for_s: float) -> None:
    """Write `manifest.json` of a run folder; small files are hashed first, as long as time is left."""
    until = time.monotonic() + hash_for_s
    files: dict[str, Entry] = {}
    for path, stat in sorted(_files(root), key=lambda item: item[1].st_size):
        entry: Entry = {"size": stat.st_size, "mtime": round(stat.st_mtime, 3)}
        # 200 MB/s is a slow disk: a file that would take longer than what is left is for later.
        # What a link leads to may have any size, and be somebody else's.
        if S_ISREG(stat.st_mode) and time.monotonic() + stat.st_size / 200e6 < until:
            with contextlib.suppress(OSError):
                entry["sha256"] = _sha256(path)
        files[os.path.relpath(path, root)] = entry
    atomic_json.write(os.path.join(root, "manifest.json"), {"schema": atomic_json.SCHEMA, "files": files})
