"""Folders on a node's own disk, where other users can write too."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat


def local_disk() -> str:
    """Return the folder of this node's disk that jobs may use."""
    return os.environ.get("TMPDIR") or "/tmp"  # noqa: S108  # what is made in it is private: see `own_folder`


def tmp_name(mark: str) -> str:
    """Return the name of an attempt's folder in a node's TMPDIR; short, since MPI has sockets in it."""
    return "launcher-%s" % hashlib.sha256(os.fsencode(mark)).hexdigest()[:12]


def tmp_folder(mark: str) -> str:
    """Return the node-local folder of an attempt."""
    return os.path.join(local_disk(), tmp_name(mark))


def own_folder(path: str) -> str:
    """Return a folder that only this user can enter, made if it does not exist.

    Raises:
        OSError: another user made it, can enter it, or put a link in its place.
    """
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    if not is_own(path) or os.lstat(path).st_mode & 0o077:
        raise OSError("%s: %s is not a private folder of this user; remove it" % (os.uname().nodename, path))
    return path


def is_own(path: str) -> bool:
    """Return whether a path is a folder that this user made, and no link to one."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
