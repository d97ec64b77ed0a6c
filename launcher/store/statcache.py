"""What is remembered of each source on this machine, so that an unchanged one is not read again.

As in git's index, a file that changed within two seconds before it was hashed is not trusted: a later
change may leave the very same times.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from launcher.errors import StoreError
from launcher.paths import cache_root
from launcher.spec import SCHEMA
from launcher.store import records
from launcher.store.ownership import PRIVATE, open_cache
from launcher.store.tree import Sign, Tree

if TYPE_CHECKING:
    from pathlib import Path

RACY_NS = 2_000_000_000


@dataclass(slots=True)
class Memory:
    """The last scan of a source, and the snapshot that came of it."""

    tree: Tree
    store: str = ""
    digest: str = ""


def load(source: Path) -> Memory:
    """Return what is remembered of a source, which may be nothing."""
    try:
        data = cast("dict[str, Any]", json.loads(_file(source).read_bytes()))
        if data["schema"] != SCHEMA:
            return Memory(Tree())
        tree = Tree(
            files=dict(
                zip(data["paths"], cast("list[Sign]", [tuple(sign) for sign in data["signs"]]), strict=True)
            ),
            digests={
                path: digest for path, digest in zip(data["paths"], data["digests"], strict=True) if digest
            },
            folders={path: (key, frozenset(names)) for path, (key, names) in data["folders"].items()},
            links=data["links"],
        )
        return Memory(tree, data["store"], data["digest"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return Memory(Tree())


def save(source: Path, memory: Memory, hashed_ns: int) -> None:
    """Remember a scan whose files were hashed after `hashed_ns`; if the cache can be written."""
    tree = memory.tree
    limit = hashed_ns - RACY_NS
    data = {
        "schema": SCHEMA,
        "store": memory.store,
        "digest": memory.digest,
        "paths": list(tree.files),
        "signs": list(tree.files.values()),
        "digests": [
            tree.digests[path] if max(sign[1], sign[2]) < limit else "" for path, sign in tree.files.items()
        ],
        "folders": {path: [key, sorted(names)] for path, (key, names) in tree.folders.items()},
        "links": tree.links,
    }
    file = _file(source)
    try:
        open_cache()
        file.parent.mkdir(PRIVATE, exist_ok=True)
        records.write(file, data)
    except (OSError, StoreError):
        pass


def _file(source: Path) -> Path:
    name = hashlib.blake2b(os.fsencode(source), digest_size=16).hexdigest()
    return cache_root() / "sources" / f"{name}.json"
