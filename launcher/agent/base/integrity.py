"""Whether a snapshot still holds what was frozen: sizes and times first, contents only if those differ.

    <store>/snapshots/<digest>.json   what the tree holds
    <store>/snapshots/changed.json    exists once a run found a change: launches compare from then on

Snapshots share files as hard links, so one change may damage several. A copy of a store may have other
times, and a link to a file changes its ctime: neither counts as a change.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING, Any, NamedTuple

from . import atomic_json

if TYPE_CHECKING:
    from collections.abc import Mapping

LISTED = 10
"""Changes that a message names."""

_IGNORED = ("__pycache__",)
"""Belongs to no snapshot; Python running as root may write it."""


def record_path(snapshot: str) -> str:
    """Return the path of the record of what a snapshot holds."""
    return snapshot + ".json"


def alarm_path(snapshot: str) -> str:
    """Return the path of the record of the newest change that was found in a store."""
    return os.path.join(os.path.dirname(snapshot), "changed.json")


def seal(tree: str, target: str, digests: dict[str, str], folders: list[str], links: dict[str, str]) -> None:
    """Record what a tree holds that will be the snapshot `target`.

    Args:
        tree: the path of the tree now.
        target: the path of the snapshot.
        digests: BLAKE2 of each file.
        folders: each with a slash at its end; the root is empty.
        links: their targets.
    """
    files: dict[str, list[Any]] = {}
    for path, digest in digests.items():
        status = os.lstat(os.path.join(tree, path))
        files[path] = [status.st_size, status.st_mtime_ns, bool(status.st_mode & stat.S_IXUSR), digest]
    times = {folder: os.lstat(os.path.join(tree, folder)).st_mtime_ns for folder in folders}
    sealed = {"schema": atomic_json.SCHEMA, "files": files, "folders": times, "links": links}
    atomic_json.write(record_path(target), sealed)


def find_changes(snapshot: str) -> list[str]:
    """Return what differs from the record, such as `conf.py (changed)`; empty if there is no record."""
    path = record_path(snapshot)
    sealed = atomic_json.read(path)
    if sealed is None and not os.path.lexists(path):
        return []
    try:
        return _differences(snapshot, sealed or {})
    except (AttributeError, LookupError, TypeError, ValueError):  # the name of a snapshot tells as much
        whole = tree_digest(read_content(snapshot)) == os.path.basename(snapshot)
        return [] if whole else ["%s (damaged)" % os.path.basename(path)]


def _differences(snapshot: str, sealed: Mapping[str, Any]) -> list[str]:
    found = [
        "%s (%s)" % (path, how)
        for path, sign in sealed["files"].items()
        for how in [_file_change(os.path.join(snapshot, path), sign)]
        if how is not None
    ]
    for path, target in sealed["links"].items():
        try:
            same = os.readlink(os.path.join(snapshot, path)) == target
        except OSError:
            same = False
        if not same:
            found.append("%s (changed)" % path)
    return sorted([*found, *_new_entries(snapshot, sealed)])


class Content(NamedTuple):
    """What a tree holds, by paths from its root."""

    digests: dict[str, str]
    """BLAKE2 of each file."""
    executable: set[str]
    """Files that their owner may execute."""
    folders: list[str]
    """Each with a slash at its end; the root is empty."""
    links: dict[str, str]
    """Their targets."""


def read_content(tree: str) -> Content:
    """Return what a tree holds; what is no file, folder or link is left out."""
    found = Content({}, set(), [""], {})
    for place, folders, names in os.walk(tree):
        folders[:] = [name for name in folders if name not in _IGNORED]
        for name in [*folders, *names]:
            path = os.path.join(place, name)
            known = os.path.relpath(path, tree)
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                found.links[known] = os.readlink(path)
            elif stat.S_ISDIR(mode):
                found.folders.append(known + "/")
            elif stat.S_ISREG(mode):
                found.digests[known] = file_digest(path)
                if mode & stat.S_IXUSR:
                    found.executable.add(known)
    return found


def tree_digest(content: Content) -> str:
    """Return the hash of what a tree holds, by which snapshots are named."""
    lines = [
        "%s%s\0%s" % ("x" if path in content.executable else "f", path, digest)
        for path, digest in content.digests.items()
    ]
    lines += ["l%s\0%s" % link for link in content.links.items()]
    lines += ["d%s\0" % path for path in content.folders]
    lines.sort()
    return hashlib.blake2b(os.fsencode("\0".join(lines)), digest_size=20).hexdigest()


def describe(changes: list[str]) -> str:
    """Return changes as a message names them."""
    more = len(changes) - LISTED
    return ", ".join(changes[:LISTED]) + (" and %d more" % more if more > 0 else "")


def raise_alarm(snapshot: str, run: str, changes: list[str]) -> None:
    """Record a change, so that every launch into this store compares its snapshot with the record."""
    found = {"schema": atomic_json.SCHEMA, "snapshot": os.path.basename(snapshot), "run": run}
    try:
        atomic_json.write(alarm_path(snapshot), dict(found, time=atomic_json.now(), changes=changes))
    except OSError as error:
        atomic_json.complain("%s: %s" % (alarm_path(snapshot), error))


def _file_change(path: str, sign: list[Any]) -> str | None:
    size, mtime_ns, executable, digest = sign
    try:
        status = os.lstat(path)
        same = stat.S_ISREG(status.st_mode) and status.st_size == size
        if same and bool(status.st_mode & stat.S_IXUSR) == executable:
            return None if status.st_mtime_ns == mtime_ns or file_digest(path) == digest else "changed"
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return str(error.strerror)
    return "changed"


def file_digest(path: str) -> str:
    """Return the BLAKE2 of a file."""
    hasher = hashlib.blake2b(digest_size=20)
    with open(path, "rb", buffering=0) as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            hasher.update(block)
    return hasher.hexdigest()


def _new_entries(snapshot: str, sealed: Mapping[str, Any]) -> list[str]:
    """Return what was added, and folders that are gone; only folders with another time are listed."""
    known = {*sealed["files"], *sealed["links"], *(folder[:-1] for folder in sealed["folders"])}
    found: list[str] = []
    for folder, mtime_ns in sealed["folders"].items():
        path = os.path.join(snapshot, folder)
        try:
            if os.lstat(path).st_mtime_ns == mtime_ns:
                continue
            names = os.listdir(path)
        except OSError:
            found.append("%s (missing)" % (folder or "."))
            continue
        found += [
            "%s (new)" % (folder + name)
            for name in names
            if folder + name not in known and name not in _IGNORED
        ]
    return found
