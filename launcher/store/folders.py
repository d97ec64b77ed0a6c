"""Folder trees that are removed whatever their modes are, and stores that cannot be written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.agent.base import disk_reserve
from launcher.errors import StoreError
from launcher.store.ownership import PRIVATE

if TYPE_CHECKING:
    from launcher.paths import StoreFolder


def remove_tree(tree: Path) -> bool:
    """Remove a folder with all that is in it, read-only folders too; tell whether it is gone."""
    shutil.rmtree(tree, ignore_errors=True)
    if not tree.exists():
        return True
    try:
        tree.chmod(PRIVATE)
        for folder, names, _ in os.walk(tree):
            for name in names:
                if not Path(folder, name).is_symlink():
                    Path(folder, name).chmod(PRIVATE)
    except OSError:
        return False
    shutil.rmtree(tree, ignore_errors=True)
    return not tree.exists()


def unusable(store: StoreFolder, error: OSError) -> StoreError:
    """Return the error to raise if a store cannot be written."""
    if error.errno in disk_reserve.FULL:
        full = disk_reserve.complaint(str(store.root)) or f"the store's disk is full: {store.root}"
        return StoreError(f"store: {full} with store=DIR or LAUNCHER_STORE")
    where = f": {os.fsdecode(error.filename)}" if error.filename else ""
    return StoreError(
        f"store: {store.root} cannot be written ({error.strerror}{where}). "
        "Give another one with store=DIR or LAUNCHER_STORE"
    )
