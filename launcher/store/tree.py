"""A source tree as it stands: what belongs to it, and what stands in the way of a snapshot.

A scan costs one listing a folder and one stat a file. Whether an entry is ignored is asked once and
known from then on, for as long as the ignore files above it stay the same.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.errors import Problem
from launcher.store.ignore import Chain, first_chain, read_rules

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

MIB = 1 << 20

NEVER = frozenset({".git", "__pycache__"})
"""Names that belong to no snapshot, whatever ignore files say."""

HYDRA = frozenset({".hydra", "multirun.yaml"})
"""What a folder has that Hydra made for a job or a sweep; results of runs are no source of the next."""

SPECIAL = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


Sign = tuple[int, int, int, int, int]
"""Size, mtime and ctime in ns, inode, executable bit: what tells whether a file is still the same."""


@dataclass(slots=True)
class Tree:
    """What belongs to a source; paths are relative to it, those of folders end in a slash."""

    files: dict[str, Sign] = field(default_factory=dict[str, Sign])
    digests: dict[str, str] = field(default_factory=dict[str, str])
    """Of the contents of files, as far as they are known."""
    folders: dict[str, tuple[str, frozenset[str]]] = field(
        default_factory=dict[str, tuple[str, frozenset[str]]]
    )
    """Key of each folder's ignore files, and the names in it that they ignore; the root is ``."""
    links: dict[str, str] = field(default_factory=dict[str, str])
    problems: list[Problem] = field(default_factory=list[Problem])


def scan(source: Path, known: Tree, excluded: Collection[str] = ()) -> Tree:
    """Return the tree of a source.

    `known` is what a former scan found; `excluded` are absolute paths that are not part of it.
    """
    tree = Tree()
    ignore_name, first = first_chain(source)
    skip = frozenset(excluded)
    hydra: list[str] = []
    todo: list[tuple[str, str, Chain | None]] = [(str(source), "", first)]
    while todo:
        place, prefix, above = todo.pop()
        try:
            entries = _listing(place, skip)
        except OSError as error:
            tree.problems.append(unreadable(prefix or ".", error))
            continue
        if prefix and any(entry.name in HYDRA for entry in entries):
            hydra.append(prefix)
            continue
        chain = above
        if any(entry.name == ignore_name for entry in entries):
            chain = Chain(above, prefix, read_rules(f"{place}/{ignore_name}"))
        ignored = _ignored(entries, prefix, chain, known)
        tree.folders[prefix] = (chain.key if chain is not None else "", ignored)
        for entry in entries:
            path = prefix + entry.name
            try:
                folder = entry.is_dir(follow_symlinks=False)
                if (f"{entry.name}/" if folder else entry.name) in ignored:
                    continue
                if folder:
                    todo.append((entry.path, f"{path}/", chain))
                else:
                    _add(tree, path, entry, known, skip)
            except FileNotFoundError:
                pass  # removed since the listing
            except OSError as error:
                tree.problems.append(unreadable(path, error))
    _prune(tree, hydra)
    return tree


def _listing(place: str, skip: frozenset[str]) -> list[os.DirEntry[str]]:
    with os.scandir(place) as listing:
        return [entry for entry in listing if entry.name not in NEVER and entry.path not in skip]


def _prune(tree: Tree, left_out: list[str]) -> None:
    """Remove the folders above what was left out that hold nothing else."""
    if not left_out:
        return
    entries = [*tree.files, *tree.links, *tree.folders]
    held = Counter(path.rstrip("/").rpartition("/")[0] for path in entries if path)
    above = [prefix.rstrip("/").rpartition("/")[0] for prefix in left_out]
    while above:
        folder = above.pop()
        if folder and not held[folder] and tree.folders.pop(f"{folder}/", None) is not None:
            outer = folder.rpartition("/")[0]
            held[outer] -= 1
            above.append(outer)


def _ignored(
    entries: list[os.DirEntry[str]], prefix: str, chain: Chain | None, known: Tree
) -> frozenset[str]:
    """Return the names in a folder that its ignore files ignore, asking them only about new ones."""
    if chain is None:
        return frozenset()
    key, old = known.folders.get(prefix, ("", frozenset[str]()))
    if key != chain.key:
        known = Tree()
        old = frozenset[str]()
    names: list[str] = []
    for entry in entries:
        folder = entry.is_dir(follow_symlinks=False)
        name = f"{entry.name}/" if folder else entry.name  # what became a folder is asked about again
        path = prefix + name
        if path in known.files or path in known.folders or path in known.links:
            continue
        if name in old or chain.ignores(prefix + entry.name, folder=folder):
            names.append(name)
    return frozenset(names)


def _add(tree: Tree, path: str, entry: os.DirEntry[str], known: Tree, skip: frozenset[str]) -> None:
    regular = entry.is_file(follow_symlinks=False)
    if not regular and entry.is_symlink():
        target = Path(entry.path).readlink()
        if skip.isdisjoint(
            map(str, target.parents)
        ):  # a link into the store, such as to outputs, is no source
            tree.links[path] = str(target)
        return
    found = entry.stat(follow_symlinks=False)
    if not regular:
        kind = SPECIAL.get(stat.S_IFMT(found.st_mode), "something else")
        hint = "Name it in .launcherignore, or move it out of the source"
        tree.problems.append(Problem(f"source: {path!r}", kind, "files, folders and links", hint))
        return
    sign = (
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
        found.st_ino,
        (found.st_mode & stat.S_IXUSR) >> 6,
    )
    tree.files[path] = sign
    if known.files.get(path) == sign and path in known.digests:
        tree.digests[path] = known.digests[path]


def unreadable(path: str, error: OSError) -> Problem:
    """Return the problem of an entry that cannot be read."""
    hint = "Make it readable, or name it in .launcherignore"
    return Problem(f"source: {path!r}", error.strerror, "something that can be read", hint)


def check_size(tree: Tree, limit_mib: float) -> Iterator[Problem]:
    """Yield what is wrong with a tree that is too big, with its biggest parts."""
    size = sum(sign[0] for sign in tree.files.values())
    if size <= limit_mib * MIB:
        return
    biggest = sorted(_entries(tree, size).items(), key=lambda item: -item[1])[:5]
    named = ", ".join(f"{path} {part / MIB:.1f} MiB" for path, part in biggest)
    yield Problem(
        "source",
        f"{size / MIB:.1f} MiB in {len(tree.files)} files, most of it in {named}",
        f"at most {limit_mib:g} MiB (snapshot_limit_mib)",
        "Name what the script does not need in .launcherignore, pass data as data.inputs, or raise the limit",
    )


def _entries(tree: Tree, total: int) -> dict[str, int]:
    """Return the sizes of files and folders, each folder that holds nearly all opened up."""
    prefix = ""
    while True:
        sizes: dict[str, int] = {}
        for path, sign in tree.files.items():
            head, slash, _ = path.removeprefix(prefix).partition("/")
            name = prefix + head + slash if path.startswith(prefix) else path.partition("/")[0]
            sizes[name] = sizes.get(name, 0) + sign[0]
        top = max(sizes, key=lambda name: sizes[name])
        if not top.endswith("/") or not top.startswith(prefix) or sizes[top] < total * 0.9:
            return sizes
        prefix = top
