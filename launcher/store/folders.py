"""Folder trees that are removed whatever their modes are."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from launcher.store.ownership import PRIVATE


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
