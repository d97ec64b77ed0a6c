"""Make a wheel small: without the debug information of its libraries."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import shutil
import zipfile
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.environment.build.tools import Tools


def _line(name: str, data: bytes) -> tuple[str, str, str]:
    """Return what RECORD says of a file (Python packaging, "Recording installed projects")."""
    hashed = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode("ascii")
    return name, f"sha256={hashed}", str(len(data))


def is_whole(wheel: Path) -> bool:
    """Return whether all files of a wheel are as they were written."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError):
        return False


def strip_wheel(wheel: Path, into: Path, tools: Tools) -> Path:
    """Write the wheel anew with its libraries stripped (17.5 MB become 1 MB); return its path."""
    into.mkdir()
    tree = into / "tree"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tree)  # built here
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
        modes = {info.filename: info.external_attr for info in archive.infolist()}
    libraries = [str(tree / name) for name in names if name.endswith(".so")]
    if libraries and tools.which("strip"):
        tools.run(["strip", *libraries], "Stripping the libraries")
    rows: list[tuple[str, str, str]] = []
    result = into / wheel.name
    with zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            if name.endswith(".dist-info/RECORD"):
                rows.append((name, "", ""))
                continue
            data = (tree / name).read_bytes()
            rows.append(_line(name, data))
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = modes[name]
            archive.writestr(info, data)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        archive.writestr(next(name for name, _, size in rows if not size), text.getvalue())
    shutil.rmtree(tree)
    return result
