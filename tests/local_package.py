"""A package in a folder, with a build backend of its own: installing it asks no index."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BACKEND = """
import os, zipfile
METADATA = "Metadata-Version: 2.1\\nName: NAME\\nVersion: 1\\nProvides-Extra: all\\n"
def build_wheel(folder, config_settings=None, metadata_directory=None):
    os.makedirs("build", exist_ok=True)  # as others do in the folder that they build in
    name = "NAME-1-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.write("NAME.py")
        info = "NAME-1.dist-info/"
        wheel.writestr(info + "METADATA", METADATA)
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "RECORD", "NAME.py,,\\n")
    return name
"""


def put_package(folder: Path, code: str) -> Path:
    """Put a package of one module, named as the folder, there; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (folder / "backend.py").write_text(BACKEND.replace("NAME", folder.name))
    (folder / f"{folder.name}.py").write_text(code)
    return folder
