"""A conda channel in a local folder, made of real packages."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

from launcher.environment.recipe.interpreters import mine


def make_channel(folder: Path) -> Path:
    """Make a channel with a Python (this one, behind a prefix of its own) and a package for it."""
    (folder / "linux-64").mkdir(parents=True)
    version = ".".join(map(str, sys.version_info[:3]))
    python = mine()[1]
    put_conda(
        folder,
        "linux-64",
        {"name": "python", "version": version, "build": "0"},
        {"pyvenv.cfg": f"home = {Path(python).parent}\n".encode()},
        {"bin/python": python, f"bin/python{sys.version_info.major}.{sys.version_info.minor}": "python"},
    )
    put_conda(
        folder,
        "noarch",
        {
            "name": "condademo",
            "version": "3.1",
            "build": "py_0",
            "noarch": "python",
            "depends": ["python >=3.8"],
        },
        {"site-packages/condademo.py": b"version = '3.1'\n"},
        {},
    )
    return folder


def put_conda(
    channel: Path, subdir: str, index: dict[str, Any], files: dict[str, bytes], links: dict[str, str]
) -> None:
    """Put a package into a channel, as conda-build would."""
    folder = channel / subdir
    folder.mkdir(parents=True, exist_ok=True)
    index = {"build_number": 0, "depends": [], "subdir": subdir, **index}
    name = f"{index['name']}-{index['version']}-{index['build']}.tar.bz2"
    paths: list[dict[str, Any]] = [
        {
            "_path": path,
            "path_type": "hardlink",
            "sha256": hashlib.sha256(data).hexdigest(),
            "size_in_bytes": len(data),
        }
        for path, data in files.items()
    ]
    paths += [{"_path": path, "path_type": "softlink"} for path in links]
    with tarfile.open(folder / name, "w:bz2") as archive:
        add_file(archive, "info/index.json", json.dumps(index).encode())
        add_file(archive, "info/paths.json", json.dumps({"paths": paths, "paths_version": 1}).encode())
        for path, data in files.items():
            add_file(archive, path, data)
        for path, target in links.items():
            link = tarfile.TarInfo(path)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
    data = (folder / name).read_bytes()
    repodata = folder / "repodata.json"
    empty: dict[str, Any] = {"info": {"subdir": subdir}, "packages": {}}
    known: dict[str, Any] = json.loads(repodata.read_text()) if repodata.exists() else empty
    known["packages"][name] = {**index, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    repodata.write_text(json.dumps(known))


def add_file(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mode = 0o644
    archive.addfile(info, io.BytesIO(data))
