"""The agent's code, put into the store once by content, so that runs keep the version they began with."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from launcher import agent
from launcher.agent.base import atomic_json
from launcher.store.folders import remove_tree
from launcher.store.ownership import PRIVATE, check_store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.paths import StoreFolder

_ENTRY = "from agent.main import main\n\nmain()\n"


def install(store: StoreFolder) -> Path:
    """Return the folder to start with `python -I -S`, made if the store does not hold this version unchanged.

    Raises:
        StoreError: another user can write where it belongs.
    """
    check_store(store)
    code = Path(agent.__file__).parent
    files = {
        str(path.relative_to(code)): path.read_bytes()
        for path in sorted(code.rglob("*"))
        if path.suffix in {".py", ".sh"}
    }
    digest = hashlib.sha256(repr(files).encode()).hexdigest()[:20]
    home = store.agents / digest
    if _holds(home, files):
        return home
    draft = store.agents / f".{digest}.{uuid4().hex}"
    for folder in (store.root, store.agents, draft, draft / "agent"):
        folder.mkdir(PRIVATE, parents=True, exist_ok=True)
    for name, content in files.items():
        target = draft / "agent" / name
        target.parent.mkdir(PRIVATE, exist_ok=True)
        target.write_bytes(content)
        target.chmod(0o700 if name.endswith(".sh") else 0o600)
    (draft / "__main__.py").write_text(_ENTRY, encoding="utf-8")
    if home.exists() and not _holds(home, files):  # a disk or another program has changed it
        with suppress(FileNotFoundError):  # another launch was faster
            home.rename(damaged := store.agents / f".{digest}.{uuid4().hex}")
            remove_tree(damaged)
    if not atomic_json.publish(str(draft), str(home)):  # another launch was faster
        remove_tree(draft)
    return home


def _holds(home: Path, files: Mapping[str, bytes]) -> bool:
    """Return whether a folder holds this version, unchanged: what it holds is executed."""
    try:
        return (home / "__main__.py").read_bytes() == _ENTRY.encode() and all(
            (home / "agent" / name).read_bytes() == content for name, content in files.items()
        )
    except OSError:
        return False
