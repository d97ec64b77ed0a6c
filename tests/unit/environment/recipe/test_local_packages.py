"""Packages in folders: what of them counts, and the archive that they are installed from."""

from __future__ import annotations

import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from launcher.environment.recipe.local_packages import content, contents, pack_folders

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "pkg x"
    (folder / "pkgx").mkdir(parents=True)
    (folder / "pyproject.toml").write_text("[project]\n")
    (folder / "pkgx" / "__init__.py").write_text("one = 1\n")
    (folder / "run.sh").write_text("")
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("run.sh")
    return folder


def names(archive: Path) -> set[str]:
    with tarfile.open(archive) as tar:
        return set(tar.getnames())


def test_every_file_counts(package: Path) -> None:
    def change_text() -> None:
        (package / "pkgx" / "__init__.py").write_text("two = 2\n")

    def change_mode() -> None:
        (package / "run.sh").chmod(0o644)

    def change_link() -> None:
        (package / "link").unlink()
        (package / "link").symlink_to("pyproject.toml")

    def change_name() -> None:
        (package / "run.sh").rename(package / "go.sh")

    found = [content(package)]
    for change in (change_text, change_mode, change_link, change_name):
        change()
        found.append(content(package))
    assert len(set(found)) == len(found)


def test_what_builds_runs_and_tools_leave_does_not_count(package: Path) -> None:
    (package / ".gitignore").write_text("ignored\n")
    before = content(package)
    for name in (
        "build/lib/a.py", "dist/x.whl", "pkgx.egg-info/PKG-INFO", "pkgx/__pycache__/a.pyc", ".git/HEAD",
        "env/pyvenv.cfg", ".mypy_cache/a", "ignored/a", "store/runs/a/1/x", "store/snapshots/a/x",
    ):  # fmt: skip
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    assert content(package) == before
    (package / "build" / "__init__.py").write_text("")  # a package of that name
    assert content(package) != before


def test_folders_are_replaced_by_archives(package: Path, tmp_path: Path) -> None:
    wheel = tmp_path / "a.whl"
    wheel.write_bytes(b"1")
    folder = tmp_path / "into"
    folder.mkdir()
    uri = package.as_uri()
    lines, archives = pack_folders(
        ["six", str(wheel), f"{uri}[a] ; python_version>'3'", f"x @ {uri}"], folder
    )
    (archive,) = archives
    assert archives == {archive: package}
    assert lines == ["six", str(wheel), f"{archive}[a] ; python_version>'3'", f"x @ {archive.as_uri()}"]
    assert names(archive) == {
        f"package/{name}" for name in ("pyproject.toml", "pkgx/__init__.py", "run.sh", "link")
    }
    assert sorted(os.listdir(package)) == ["link", "pkgx", "pyproject.toml", "run.sh"]
    assert contents([wheel, package, tmp_path / "nonesuch"]).keys() == {str(wheel), str(package)}


def test_a_version_that_comes_from_git_needs_git(package: Path, tmp_path: Path) -> None:
    (package / ".git").mkdir()
    (package / ".git" / "HEAD").write_text("x")
    _, archives = pack_folders([str(package.as_uri())], tmp_path)
    assert not any(".git" in name for name in names(*archives))
    (package / "pyproject.toml").write_text("[tool.setuptools_scm]\n")
    _, archives = pack_folders([str(package.as_uri())], tmp_path)
    assert "package/.git/HEAD" in names(*archives)
