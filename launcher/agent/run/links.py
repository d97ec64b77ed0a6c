"""Links in a work folder at paths that a script expects, to folders and files elsewhere."""

from __future__ import annotations

import contextlib
import os


def make(work: str, links: dict[str, str]) -> None:
    """Make links, by their path relative to the work folder; folders on the way become the run's own.

    Raises:
        OSError: something is at a path, other than an empty folder.
    """
    for relative, target in links.items():
        folder = work
        *above, name = relative.split("/")
        for part in above:
            folder = os.path.join(folder, part)
            own_folder(folder)
        path = os.path.join(folder, name)
        if os.path.isdir(path) and not os.listdir(path):
            (os.unlink if os.path.islink(path) else os.rmdir)(path)
        os.symlink(target, path)


def remove(work: str, links: dict[str, str]) -> None:
    """Remove the links, and the folders that `make` made unless something else is in them."""
    for relative, target in links.items():
        path = os.path.join(work, relative)
        if os.path.islink(path) and os.readlink(path) == target:
            os.unlink(path)
        folder = os.path.dirname(relative)
        while folder:
            with contextlib.suppress(OSError):  # removed by the script, or by the link before
                clear(os.path.join(work, folder), os.path.dirname(os.path.dirname(work)))
                os.rmdir(os.path.join(work, folder))
            folder = os.path.dirname(folder)


def own_folder(folder: str) -> None:
    """Make a folder; a link to one of the source becomes a folder of links to its entries."""
    if os.path.islink(folder):
        target = os.readlink(folder)
        entries = os.listdir(folder)
        os.unlink(folder)
        os.mkdir(folder)
        for entry in entries:
            source = target if os.path.isabs(target) else os.path.join("..", target)
            os.symlink(os.path.join(source, entry), os.path.join(folder, entry))
    elif not os.path.isdir(folder):
        os.mkdir(folder)


def clear(folder: str, run: str) -> None:
    """Remove the links from a folder to a run's source, and to its `outputs` and `logs`."""
    for entry in [] if os.path.islink(folder) else os.listdir(folder):
        path = os.path.join(folder, entry)
        if os.path.islink(path):
            target = os.path.relpath(os.path.normpath(os.path.join(folder, os.readlink(path))), run)
            if target in {"outputs", "logs"} or target.startswith(os.path.join("source", "")):
                os.unlink(path)
