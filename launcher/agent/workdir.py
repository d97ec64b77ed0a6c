"""The folder that a run's processes work in: links to the frozen source, and `outputs` and `logs`."""

from __future__ import annotations

import os
import shutil
import stat

OWN = ("outputs", "logs")


def make(run: str, attempt: int, mode: str) -> str:
    """Make `work/<attempt>` of a run folder and return its path.

    Args:
        run: the run folder.
        attempt: number of the attempt.
        mode: `link` (entries of the shared snapshot, read-only) or `copy` (a private copy).
    """
    for name in (*OWN, "metrics"):
        os.makedirs(os.path.join(run, name), exist_ok=True)
    work = os.path.join(run, "work", str(attempt))
    os.makedirs(work, exist_ok=True)
    source = os.path.join(run, "source")
    for entry in os.listdir(source):
        if entry in OWN:
            continue
        target = os.path.join(work, entry)
        if mode == "copy":
            _copy(os.path.join(source, entry), target)
        else:
            os.symlink(os.path.join("..", "..", "source", entry), target)
    for name in OWN:
        os.symlink(os.path.join("..", "..", name), os.path.join(work, name))
    return work


def tidy(work: str) -> None:
    """Remove the links of a work folder, and the folder where the script left nothing else in it."""
    for entry in os.listdir(work):
        path = os.path.join(work, entry)
        if os.path.islink(path) and os.readlink(path).startswith(os.path.join("..", "..")):
            os.unlink(path)
    for folder in (work, os.path.dirname(work)):
        try:
            os.rmdir(folder)
        except OSError:
            return


def _copy(source: str, target: str) -> None:
    """Copy a file or tree of the read-only snapshot so that the script may change it."""
    if os.path.isdir(source) and not os.path.islink(source):
        shutil.copytree(source, target, symlinks=True)
        for folder, _, names in os.walk(target):
            for path in [folder, *(os.path.join(folder, name) for name in names)]:
                _writable(path)
    else:
        shutil.copy2(source, target, follow_symlinks=False)
        _writable(target)


def _writable(path: str) -> None:
    if not os.path.islink(path):
        os.chmod(path, os.stat(path).st_mode | stat.S_IWUSR)
