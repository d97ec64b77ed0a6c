"""Whether this host sees what is there; a file system that answers from a stale cache gets its time.

Clients of NFS and the like remember for up to a minute that a name was not there, and what a folder held.
Making something new is never answered from memory, and after a change of its own a client asks again.
"""

from __future__ import annotations

import contextlib
import os
import time

PATIENCE_S = 10.0
"""For a path that nothing speaks for."""

STALE_S = 75.0
"""For one that the listing of its folder has, while looking it up still says no."""


_LOOK = ".look-"


class PathWaiter:
    """Paths that have to be there; looked at again until they are, or until there is no hope."""

    def __init__(self, paths: list[str]) -> None:
        self._unseen = paths
        self._began = time.monotonic()

    def complete(self) -> bool:
        """Look again at what was missing; tell whether all is there now."""
        self._unseen = [path for path in self._unseen if not os.path.exists(path)]
        return not self._unseen

    def problem(self) -> str | None:
        """Return what is missing for good, with the name of this node; None while there is hope."""
        waited = time.monotonic() - self._began
        hopeless = [
            path for path in self._unseen if waited >= (STALE_S if in_parent_listing(path) else PATIENCE_S)
        ]
        if not hopeless:
            return None
        return "%s does not see %s" % (
            os.uname().nodename,
            ", ".join(display_path(path) for path in hopeless),
        )


def in_parent_listing(path: str) -> bool:
    """Tell whether a folder lists what leads to a path that cannot be looked up."""
    while True:
        folder, name = os.path.split(path.rstrip("/"))
        if os.path.isdir(folder) or not name:
            break
        path = folder
    try:
        return name in os.listdir(folder)
    except OSError:
        return False


def list_uncached(folder: str) -> list[str]:
    """Return what a folder holds now, whatever was remembered of it.

    Raises:
        OSError: it cannot be listed.
    """
    with contextlib.suppress(OSError):  # somebody else's
        os.mkdir(os.path.join(folder, _LOOK + os.urandom(8).hex()))
    names = os.listdir(folder)
    for name in names:
        if name.startswith(_LOOK):  # also of one that was killed
            with contextlib.suppress(OSError):
                os.rmdir(os.path.join(folder, name))
    return [name for name in names if not name.startswith(_LOOK)]


def wait_until_visible(path: str) -> None:
    """Wait for what is known to be there until it can be looked up.

    Raises:
        OSError: it cannot, though every memory of it is over.
    """
    until = time.monotonic() + STALE_S
    while not os.path.lexists(path):
        if time.monotonic() > until:
            raise OSError("%s is there, but %s cannot look it up" % (path, os.uname().nodename))
        time.sleep(0.2)


def claim_dir(folder: str) -> bool:
    """Make a folder, unless it is there; tell whether it was not. Then it can be looked up.

    Raises:
        OSError: it cannot be made, or cannot be looked up.
    """
    try:
        os.makedirs(folder)
    except FileExistsError:
        wait_until_visible(folder)
        return False
    return True


def exists_on_server(path: str) -> bool:
    """Tell whether something is there, whatever was remembered of its folder. If so, it can be looked up.

    Raises:
        OSError: the folder cannot be listed, or what it lists cannot be looked up.
    """
    folder, name = os.path.split(path)
    if name not in list_uncached(folder):
        return False
    wait_until_visible(path)
    return True


def display_path(path: str) -> str:
    """Return a path as a user is told of it: with where it leads, if that is what is missing."""
    return "%s (for %s)" % (os.path.realpath(path), path) if os.path.islink(path) else path
