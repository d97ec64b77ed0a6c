"""What killed agents left on this machine's disk: folders in TMPDIR whose owners are gone."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.agent.base import node_leftovers
from launcher.agent.base.node_leftovers import OWNER_RECORD
from launcher.agent.base.tmp import attempt_mark, own_folders, tmp_name
from launcher.errors import NotFoundError
from launcher.store import records
from launcher.store.runs import read_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.paths import RunFolder, StoreFolder

_ATTEMPT = re.compile(r"launcher-[0-9a-f]{12}")
_STAGED = re.compile(r"launcher-env-\w+")


def left_folders(store: StoreFolder) -> list[Path]:
    """Return the folders of this user that nobody uses any more.

    That is certain if a record in the folder names an owner that is gone, or if its run is in the store and
    has ended.
    """
    found: list[Path] = []
    unknown: dict[str, Path] = {}
    for folder in map(Path, own_folders()):
        if _ATTEMPT.fullmatch(folder.name):
            owner = _owner(folder)
            if owner is None:
                unknown[folder.name] = folder
            elif records.alive(owner) is False:
                found.append(folder)
        elif _STAGED.fullmatch(folder.name) and _unused(folder):
            found.append(folder)
    if unknown:
        found += [unknown[name] for name in _names_of_ended(store) if name in unknown]
    return sorted(found)


def remove_folder(folder: Path) -> bool:
    """Remove such a folder, and the box of podman that belongs to it; tell whether it is gone."""
    if _STAGED.fullmatch(folder.name):
        node_leftovers.sweep_environments()  # under a lock: somebody may be about to use it
        return not folder.exists()
    if not node_leftovers.remove_container(str(folder)):
        return False
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def _owner(folder: Path) -> records.Record | None:
    """Return the agent that a folder's record names."""
    boxed = records.read(folder / "box.json")  # launcher/agent/containers/podman.py
    return boxed["owner"] if boxed is not None else records.read(folder / OWNER_RECORD)


def _unused(folder: Path) -> bool:
    """Tell whether all users of a staged environment are gone."""
    owners = [records.read(path) for path in (folder / "users").glob("*.json")]
    return bool(owners) and all(owner is not None and records.alive(owner) is False for owner in owners)


def _names_of_ended(store: StoreFolder) -> Iterator[str]:
    """Yield the names that attempts of runs gave their folders which are over."""
    for name in store.experiments():
        for number in store.numbers(name):
            yield from _names_of(store.run(name, number))


def _names_of(folder: RunFolder) -> Iterator[str]:
    try:
        run = read_run(folder)
    except NotFoundError:
        return
    if run.state.terminal and not run.damage:
        plan: records.Record = run.spec.get("plan") or {}
        nodes = int(plan.get("nodes", 1))
        for attempt in run.attempts:
            for node in range(nodes):
                yield tmp_name(f"{attempt_mark(str(folder.root), attempt)}#{node}")
