"""Symbolic links of a source tree: each must mean the same in a snapshot as in the source."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from launcher.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from launcher.store.tree import Tree

MAX_HOPS = 40
"""As in path_resolution(7)."""

EXPECTED = "a relative link to something in the source that is not ignored"


def check_links(source: Path, tree: Tree) -> Iterator[Problem]:
    """Yield the links that would be broken in a snapshot, or would leave it."""
    for path, target in sorted(tree.links.items()):
        wrong = _Walk(source, tree, path).wrong()
        if wrong is not None:
            yield Problem(f"source: {path!r}", f"a link to {target!r}, {wrong[0]}", EXPECTED, wrong[1])


class _Walk:
    """The way from a link to its target, in the tree and not on the disk: a snapshot has only that."""

    def __init__(self, source: Path, tree: Tree, path: str) -> None:
        self._source = source
        self._tree = tree
        self._at: list[str] = []
        self._todo = deque(path.split("/"))
        self._hops = 0

    def wrong(self) -> tuple[str, str] | None:
        """Return what is wrong with the link, and the way out."""
        while self._todo:
            part = self._todo.popleft()
            if part == "..":
                if not self._at:
                    return "which leaves the source", "Put what it points to in its place, or ignore it"
                self._at.pop()
            elif part not in {"", "."}:
                wrong = self._enter(part)
                if wrong is not None:
                    return wrong
        return None

    def _enter(self, part: str) -> tuple[str, str] | None:
        here = "/".join([*self._at, part])
        if here in self._tree.links:
            return self._jump(self._tree.links[here])
        if f"{here}/" in self._tree.folders:
            self._at.append(part)
        elif here not in self._tree.files or any(self._todo):
            if here not in self._tree.files and (self._source / here).exists():
                return "which is not part of the snapshot", "Ignore both or none"
            return "which does not exist", "Remove or ignore it"
        return None

    def _jump(self, target: str) -> tuple[str, str] | None:
        self._hops += 1
        if self._hops > MAX_HOPS:
            return "which goes in circles", "Remove or ignore it"
        if target.startswith("/"):
            return "an absolute path", "Make it relative, or ignore it"
        self._todo.extendleft(reversed(target.split("/")))
        return None
