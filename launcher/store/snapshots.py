"""Read-only copies of source trees, by content.

The same source is the same snapshot, whoever launches it. A new one copies only files that the last
snapshot of the source does not have; the others are hard links. A tree appears whole, by a rename. A
record beside it (launcher/agent/base/integrity.py) reveals changes; a tree that a run changed is made anew.
"""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.agent.base import atomic_json, integrity
from launcher.errors import ConfigError, Problem, StoreError
from launcher.paths import StoreFolder, cache_root
from launcher.store import records, statcache
from launcher.store.folders import remove_tree, unusable
from launcher.store.links import check_links
from launcher.store.ownership import PRIVATE, check_store
from launcher.store.tree import Tree, check_size, scan, unreadable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

CHUNK = 1 << 20
STALE_S = 86_400
"""Age at which a draft whose maker cannot be seen from here counts as left behind."""
TOOLS = frozenset(
    f"{name}/" for name in ("outputs", "logs", "multirun", "build", "dist", "node_modules", "wandb", "mlruns")
)
"""Folders that tools make, and that no note has to name."""
SHOWN = 20
"""Problems that are told one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A source tree in the store."""

    digest: str
    files: int
    bytes: int
    path: Path
    restored: tuple[str, ...] = ()
    """What an earlier run had changed in it."""
    left_out: tuple[str, ...] = ()
    """Folders at the top of the source that ignore rules leave out, and that a script may need."""


def snapshot(source: Path, store: StoreFolder, limit_mib: float, links: Collection[str] = ()) -> Snapshot:
    """Return the snapshot of a source, made if the store does not have it.

    `links` are paths in the source that are not part of it.

    Raises:
        ConfigError: the tree is too big or holds what cannot be kept; nothing was written.
        StoreError: the store cannot be written, or another user can write to it.
    """
    check_store(store)
    source = Path(os.path.realpath(source))
    memory = statcache.load(source)
    hashed_ns = time.time_ns()
    places = (store.root, cache_root())
    excluded = {place for path in places for place in _spellings(path)}
    tree = scan(source, memory.tree, {*excluded, *(f"{source}/{link}" for link in links)})
    problems = [*tree.problems, *check_links(source, tree), *check_size(tree, limit_mib)]
    problems += _unreadable(source, tree) if problems else _hash(source, tree)
    if problems:
        more = len(problems) - SHOWN
        raise ConfigError([*problems[:SHOWN], *([f"source: and {more} more"] if more > 0 else [])])
    digest = memory.digest if tree == memory.tree else tree_digest(tree)
    where = os.path.realpath(store.root)
    changes = _changes(store.snapshots / digest)
    if changes or not (store.snapshots / digest).is_dir():
        last = store.snapshots / memory.digest if memory.store == where else None
        try:
            digest = _Draft(source, tree, store).build(memory.tree, last)
        except OSError as error:
            raise _copy_error(source, store, error) from error
    new = statcache.Memory(tree, where, digest)
    if new != memory:
        statcache.save(source, new, hashed_ns)
    size = sum(sign[0] for sign in tree.files.values())
    return Snapshot(
        digest=digest,
        files=len(tree.files),
        bytes=size,
        path=store.snapshots / digest,
        restored=tuple(changes),
        left_out=tuple(sorted(name for name in tree.folders[""][1] if _may_be_needed(source, name))),
    )


def check_unchanged(path: Path) -> None:
    """Refuse a snapshot that no longer holds what was frozen.

    Raises:
        StoreError: with what changed.
    """
    changes = _seal_old(path) or integrity.find_changes(str(path))
    if changes:
        what = integrity.describe(changes)
        raise StoreError(
            f"source: the snapshot {path.name} was changed after it was frozen: {what}. "
            "A launch of the same source restores it; work=copy gives a script files that it may change"
        )


def tree_digest(tree: Tree) -> str:
    """Return the hash of what a tree holds: paths, executable bits, contents, links, folders."""
    digests = {path: tree.digests[path] for path in tree.files}
    executable = {path for path, sign in tree.files.items() if sign[4]}
    return integrity.tree_digest(integrity.Content(digests, executable, list(tree.folders), tree.links))


def clean_drafts(store: StoreFolder) -> None:
    """Remove what killed launches left half made."""
    for note in store.snapshots.glob(".draft-*.json"):
        maker = records.read(note)
        living = records.alive(maker["owner"]) if maker else None
        try:
            stale = time.time() - note.stat().st_mtime > STALE_S
        except FileNotFoundError:
            continue
        if living is False or (living is None and stale):
            draft = note.with_suffix("")
            for folder in (draft, draft.with_name(f"{draft.name}-old")):
                remove_tree(folder)
            records.remove(note)


def _changes(path: Path) -> list[str]:
    """Return what changed in a snapshot; nothing is compared before a run has found a change in the store."""
    changes = _seal_old(path)
    alarm = os.path.lexists(integrity.alarm_path(str(path)))
    return changes or (integrity.find_changes(str(path)) if alarm else [])


def _seal_old(path: Path) -> list[str]:
    """Record what a snapshot of version 0.1.0 holds, which kept no record; return a change of it."""
    if os.path.lexists(integrity.record_path(str(path))) or not path.is_dir():
        return []
    held = integrity.read_content(str(path))
    if integrity.tree_digest(held) == path.name:
        integrity.seal(str(path), str(path), held.digests, held.folders, held.links)
        return []
    changes = ["its content does not have the hash that names it"]
    integrity.raise_alarm(str(path), "", changes)
    return changes


def _may_be_needed(source: Path, name: str) -> bool:
    """Return whether a job may need an ignored entry: a folder that no tool makes for itself."""
    made_by_tools = name.startswith(".") or name.endswith(".egg-info/") or name in TOOLS
    return name.endswith("/") and not made_by_tools and not (source / name / "pyvenv.cfg").exists()


class _Draft:
    """A snapshot that is being made."""

    def __init__(self, source: Path, tree: Tree, store: StoreFolder) -> None:
        self._source = source
        self._tree = tree
        self._store = store
        self._root = store.snapshots / f".draft-{uuid.uuid4().hex}"
        self._old = self._root.with_name(f"{self._root.name}-old")

    def build(self, known: Tree, last: Path | None) -> str:
        """Make the tree and return its digest, which tells what was copied, not what was there before."""
        for folder in (self._store.root, self._store.snapshots):
            folder.mkdir(PRIVATE, parents=True, exist_ok=True)
        clean_drafts(self._store)
        note = self._root.with_name(f"{self._root.name}.json")
        records.write(note, {"schema": 1, "owner": records.owner()})
        try:
            self._fill(known, last)
            digest = tree_digest(self._tree)
            target = self._store.snapshots / digest
            self._place(target)
        finally:
            for folder in (self._root, self._old):
                if folder.exists():
                    remove_tree(folder)
            records.remove(note)
        return digest

    def _fill(self, known: Tree, last: Path | None) -> None:
        tree = self._tree
        for path in sorted(tree.folders):
            (self._root / path).mkdir(PRIVATE)
        for path, target in tree.links.items():
            (self._root / path).symlink_to(target)
        have: dict[tuple[str, int], tuple[Path, tuple[int, int]]] = {}
        sealed = records.read(Path(integrity.record_path(str(last)))) if last is not None else None
        if last is not None and sealed is not None:
            files = sealed["files"]
            have = {
                (digest, known.files[path][4]): (last / path, (files[path][0], files[path][1]))
                for path, digest in known.digests.items()
                if path in files and files[path][3] == digest
            }
        for path, sign in tree.files.items():
            key = (tree.digests[path], sign[4])
            draft = self._root / path
            if key in have and _link(*have[key], draft):
                continue
            tree.digests[path] = _copy(self._source / path, draft, 0o555 if sign[4] else 0o444)
            status = draft.stat()
            have[tree.digests[path], sign[4]] = draft, (status.st_size, status.st_mtime_ns)
        for path in sorted(tree.folders, reverse=True):
            (self._root / path).chmod(0o555)

    def _place(self, target: Path) -> None:
        tree = self._tree
        integrity.seal(str(self._root), str(target), tree.digests, list(tree.folders), tree.links)
        if _changes(target):
            target.rename(self._old)
        atomic_json.publish(
            str(self._root), str(target)
        )  # unless another launch was faster with the same tree


def _link(old: Path, sign: tuple[int, int], new: Path) -> bool:
    try:
        status = old.stat()
        if (status.st_size, status.st_mtime_ns) != sign:  # lost in a crash, or changed by a run
            return False
        new.hardlink_to(old)
    except OSError:  # too many links, or no such thing on this disk
        return False
    return True


def _copy(old: Path, new: Path, mode: int) -> str:
    """Copy a file and return the digest of what was copied."""
    hasher = hashlib.blake2b(digest_size=20)
    with old.open("rb", buffering=0) as reader, new.open("xb", buffering=0) as writer:
        while chunk := reader.read(CHUNK):
            hasher.update(chunk)
            view = memoryview(chunk)
            while view:
                view = view[writer.write(view) :]
        os.fchmod(writer.fileno(), mode)
    return hasher.hexdigest()


def _hash(source: Path, tree: Tree) -> Iterator[Problem]:
    """Fill in the digests that are not known, and yield the files that cannot be read."""
    root = f"{source}/"
    for path in tree.files.keys() - tree.digests.keys():
        try:
            tree.digests[path] = integrity.file_digest(root + path)
        except FileNotFoundError:  # removed since the scan, as an editor does with its drafts
            del tree.files[path]
        except OSError as error:
            yield unreadable(path, error)


def _unreadable(source: Path, tree: Tree) -> Iterator[Problem]:
    """Yield the files that cannot be read, without reading any."""
    for path in tree.files.keys() - tree.digests.keys():
        try:
            (source / path).open("rb").close()
        except OSError as error:
            yield unreadable(path, error)


def _spellings(path: Path) -> tuple[str, str]:
    return str(path), os.path.realpath(path)


def _copy_error(source: Path, store: StoreFolder, error: OSError) -> StoreError:
    name = os.fsdecode(error.filename or "")
    if name.startswith(f"{source}/"):
        return StoreError(f"source: {name!r} changed while it was copied ({error.strerror}); launch again")
    return unusable(store, error)
