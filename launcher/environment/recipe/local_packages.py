"""Packages that lie in a folder of this machine: their content, and one archive to install them from.

Building in place would leave files in the user's folder, so tools get an archive. It holds what a snapshot
of a source would: ignore files count.
"""

from __future__ import annotations

import gzip
import os
import re
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from launcher.environment.recipe.requirements import local_package
from launcher.store.tree import Tree, scan

if TYPE_CHECKING:
    from collections.abc import Iterable

_GENERATED: Final = frozenset(
    {".eggs", ".mypy_cache", ".nox", ".pytest_cache", ".ruff_cache", ".tox", "node_modules"}
)
_BUILDS: Final = ("build", "dist")
"""What builds leave in the folder of a package, unless Python code is in it."""
_FROM_GIT = re.compile(r"setuptools[_-]scm|vcs|versioningit|versioneer|dunamai|poetry-dynamic-versioning")


def content(path: Path) -> str:
    """Return the hash of an archive, or of a folder's files."""
    if not path.is_dir():
        return sha256(path.read_bytes()).hexdigest()
    digest = sha256()
    tree = _tree(path)
    for name in sorted(tree.links):
        digest.update(os.fsencode(f"l{name}\0{tree.links[name]}\0"))
    for name in sorted(tree.files):
        digest.update(os.fsencode(f"{'fx'[tree.files[name][4]]}{name}\0"))
        digest.update(sha256((path / name).read_bytes()).digest())
    return digest.hexdigest()


def contents(paths: Iterable[Path]) -> dict[str, str]:
    """Return the hash of each package that exists, by its path."""
    return {str(path): content(path) for path in dict.fromkeys(paths) if path.exists()}


def pack_folders(lines: Iterable[str], folder: Path) -> tuple[list[str], dict[Path, Path]]:
    """Return requirements with archives in `folder` instead of folders, and each archive's folder."""
    result: list[str] = []
    archives: dict[Path, Path] = {}
    for line in lines:
        package = local_package(line, Path("/"))
        if package is None or not package.path.is_dir():
            result.append(line)
            continue
        archive = next((path for path, source in archives.items() if source == package.path), None)
        if archive is None:
            archive = folder / f"{len(archives)}-{re.sub(r'[^A-Za-z0-9_.-]', '_', package.path.name)}.tar.gz"
            _pack(package.path, archive)
            archives[archive] = package.path
        result.append(package.line(archive))
    return result, archives


def _pack(source: Path, archive: Path) -> None:
    import tarfile  # noqa: PLC0415  # few launches have a local package

    tree = _tree(source)
    names = [*tree.files, *tree.links]
    about = [source / name for name in ("pyproject.toml", "setup.py", "setup.cfg")]
    text = "".join(path.read_text(encoding="utf-8", errors="replace") for path in about if path.is_file())
    if _FROM_GIT.search(text) and (source / ".git").exists():
        names.append(".git")
    with gzip.open(archive, "wb", compresslevel=1) as out, tarfile.open(fileobj=out, mode="w") as tar:
        for name in names:
            tar.add(source / name, f"package/{name}")


def _tree(source: Path) -> Tree:
    """Return the files that belong to a package."""
    source = source.resolve()
    return scan(source, Tree(), {str(path) for path in _excluded(source)})


def _excluded(source: Path) -> list[Path]:
    found = [source / name for name in _BUILDS if not (source / name / "__init__.py").exists()]
    for parent, names, _ in os.walk(source):
        if {"runs", "snapshots"}.issubset(names):  # a store
            found.append(Path(parent))
            names.clear()
        for name in [*names]:
            path = Path(parent, name)
            if name in _GENERATED or name.endswith(".egg-info") or (path / "pyvenv.cfg").is_file():
                found.append(path)
                names.remove(name)
    return found
