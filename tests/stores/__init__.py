"""Homes that earlier versions wrote, each with a store and a cache; `make.py` makes them."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from tests.stores.make import HOME, HOST, PYTHON


def copy_home(version: str, folder: Path, host: str = os.uname().nodename) -> Path:
    """Copy the home of a version, as if it had been written in `folder` on `host` with this Python."""
    fixture = Path(__file__).parent / version
    shutil.copytree(fixture / "home", folder, symlinks=True)
    for name in (fixture / "folders.txt").read_text().splitlines():
        (folder / name).mkdir(parents=True, exist_ok=True)
    changes = {
        PYTHON: sys.executable,
        str(Path(PYTHON).parents[1]): sys.prefix,
        HOME: str(folder),
        f'"{HOST}"': f'"{host}"',
    }
    for path in folder.rglob("*"):
        if path.is_symlink() and path.readlink() == Path(PYTHON):
            path.unlink()
            path.symlink_to(sys.executable)
        elif path.is_file() and path.suffix in {".json", ".yaml"} and not path.is_symlink():
            text = path.read_text()
            for old, new in changes.items():
                text = text.replace(old, new)
            path.write_text(text)
    return folder
