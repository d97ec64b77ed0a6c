"""Folders that nobody else can write: what is found in them by name is executed or trusted.

docs/security.md says who is trusted: this user and root. A folder of this user that others can enter is made
private; a folder that another user owns, or may replace, is refused.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from launcher.errors import StoreError
from launcher.paths import StoreFolder, cache_root

PRIVATE = 0o700
"""Mode of the folders that the launcher makes in a store or a cache."""
ROOT = 0
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def open_cache() -> Path:
    """Return the cache, made if it does not exist, with all folders in it private.

    Raises:
        StoreError: another user could have put something there.
        OSError: it cannot be made.
    """
    root = cache_root()
    root.parent.mkdir(parents=True, exist_ok=True)
    remedy = "Remove it, or choose another cache with LAUNCHER_CACHE"
    try:
        root.mkdir(PRIVATE)
    except FileExistsError:
        _check_root(root)
        with os.scandir(root) as entries:
            for entry in entries:
                # One that is listed may be gone, or this host's file system does not show it yet.
                with suppress(FileNotFoundError):
                    if entry.is_dir():
                        _make_private(Path(entry.path), remedy)
    return root


def check_store(store: StoreFolder) -> None:
    """Make the folders of a store private, those that exist, and the record of its id, which is a secret.

    Raises:
        StoreError: another user could have put something there.
    """
    if not store.root.exists():
        return
    _check_root(store.root)
    for path in (store.identity, store.runs, store.snapshots, store.agents, store.sweeps):
        with suppress(FileNotFoundError):
            _make_private(path, "Give another store with store=DIR or LAUNCHER_STORE")


def _check_root(root: Path) -> None:
    """Check a folder that the user named: not every user may replace its entries. Its mode stays."""
    mode = root.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise StoreError(f"{root}: every user can replace what is in it. Run chmod o-w {root}")


def _make_private(path: Path, remedy: str) -> None:
    """Close a folder or file to other users; a link is followed if this user or root made it."""
    link, found = path.lstat(), path.stat()
    for status in (link, found):
        if status.st_uid not in {os.geteuid(), ROOT}:
            owner = _name(status.st_uid)
            raise StoreError(f"{path}: belongs to {owner}; expected one of your own. {remedy}")
    if found.st_mode & OTHERS and found.st_uid == os.geteuid():
        path.chmod(stat.S_IMODE(found.st_mode) & ~OTHERS)
    elif found.st_mode & stat.S_IWOTH:
        raise StoreError(f"{path}: every user can write it; expected a private one. {remedy}")


def _name(uid: int) -> str:
    import pwd  # noqa: PLC0415  # for a refusal only

    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user number {uid}"
