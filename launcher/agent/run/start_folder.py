"""The sub-folder of the source in which the processes of a run start (the key `cwd`)."""

from __future__ import annotations

import contextlib
import os
import shutil

from .links import own_folder
from .workdir import OWN


def open_folder(work: str, cwd: str) -> None:
    """Make a folder of a work folder writable for the run, with `outputs` and `logs` in it.

    A link to a folder of the frozen source becomes a folder of links to its entries: what a script writes
    beside them stays out of the source.

    Args:
        work: the work folder, as workdir.py makes it.
        cwd: the folder's path in it.
    """
    for path in _folders(work, cwd):
        own_folder(path)
    inner = os.path.join(work, cwd)
    for name in OWN:
        path = os.path.join(inner, name)
        if os.path.isdir(path) and not os.path.islink(path):  # a copy of the source's
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)
        os.symlink(os.path.relpath(os.path.join(work, name), inner), path)


def close_folder(work: str, cwd: str) -> None:
    """Remove the links again, and the folders that are then empty.

    If the script replaced `outputs` or `logs` by a folder, what is in that becomes the run's.
    """
    for name in OWN:
        path, home = os.path.join(work, cwd, name), os.path.join(work, name)
        if os.path.isdir(path) and not os.path.islink(path):
            for entry in os.listdir(path):
                if not os.path.lexists(os.path.join(home, entry)):
                    shutil.move(os.path.join(path, entry), os.path.join(home, entry))
    for folder in reversed(_folders(work, cwd)):
        with contextlib.suppress(OSError):  # the script may have removed it
            for name in os.listdir(folder):
                path = os.path.join(folder, name)
                if os.path.islink(path) and os.readlink(path).startswith(".."):
                    os.unlink(path)
            os.rmdir(folder)


def _folders(work: str, cwd: str) -> list[str]:
    """Return the path of each folder on the way to `cwd`, the first one first."""
    parts = cwd.split(os.sep)
    return [os.path.join(work, *parts[: count + 1]) for count in range(len(parts))]
