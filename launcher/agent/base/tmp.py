"""Folders on a node's own disk, where other users can write too.

Other users cannot guess the names: they are hashes of the store's id too, which only this user can read.
All that knows a run's folder finds the same names: agents on every node, guards, `compute clean`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from typing import TYPE_CHECKING

from . import atomic_json

if TYPE_CHECKING:
    from collections.abc import Iterator

OWN_TMP = "@{tmp}"
"""As TMPDIR: a private folder that is removed with the attempt. MPI leaves its session files there."""

PREFIX = "launcher-"
"""What the names of all these folders begin with."""


def local_disk() -> str:
    """Return the folder of this node's disk that jobs may use."""
    return os.environ.get("TMPDIR") or "/tmp"  # noqa: S108  # what is made in it is private: see `own_folder`


def store_id(run: str) -> str:
    """Return the id of a run's store, empty in a store that an earlier version made."""
    store = os.path.dirname(os.path.dirname(os.path.dirname(run)))
    found = (atomic_json.read(os.path.join(store, "store.json")) or {}).get("id")
    return found if isinstance(found, str) else ""


def attempt_mark(run: str, attempt: int) -> str:
    """Return what the marks of an attempt's nodes begin with; each ends in `#` and the node's number."""
    mark = "%s#%d" % (run, attempt)
    secret = store_id(run)
    return "%s#%s" % (mark, _digest("%s#%s" % (secret, mark))[:16]) if secret else mark


def tmp_name(mark: str) -> str:
    """Return the name of an attempt's folder in a node's TMPDIR; short, since MPI has sockets in it."""
    return PREFIX + _digest(mark)[:12]


def tmp_folder(mark: str) -> str:
    """Return the node-local folder of an attempt."""
    return os.path.join(local_disk(), tmp_name(mark))


def own_folder(path: str) -> str:
    """Return a folder that only this user can enter, made if it does not exist.

    Raises:
        OSError: another user made it, can enter it, can replace it, or put a link in its place.
    """
    parent = os.path.dirname(path)
    mode = os.stat(parent).st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise OSError("%s: every user can replace what is in %s; run chmod +t on it" % (_host(), parent))
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    if not _is_own(os.lstat(path), 0o077):
        raise OSError("%s: %s is not a private folder of this user; remove it" % (_host(), path))
    return path


def is_own(path: str) -> bool:
    """Return whether a path is a folder that this user made, and no link to one."""
    try:
        return _is_own(os.lstat(path))
    except OSError:
        return False


def own_folders(prefix: str = PREFIX) -> Iterator[str]:
    """Yield the paths of this user's folders on this node's disk whose names begin with a prefix.

    Nothing of other users is opened, not even for reading: a FIFO would never return.
    """
    try:
        names = os.listdir(local_disk())
    except OSError:
        return
    for name in names:
        path = os.path.join(local_disk(), name)
        if name.startswith(prefix) and is_own(path):
            yield path


def _is_own(status: os.stat_result, forbidden: int = 0) -> bool:
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & forbidden


def _digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()


def _host() -> str:
    return os.uname().nodename
