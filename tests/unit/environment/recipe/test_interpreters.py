"""Which Pythons are on this machine."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from launcher.environment.recipe import interpreters
from launcher.environment.recipe.interpreters import (
    candidates,
    choose_interpreter,
    describe,
    fits,
    found,
    span_text,
    version_numbers,
)
from launcher.errors import BuildError

if TYPE_CHECKING:
    from pathlib import Path

NOW = ".".join(map(str, sys.version_info[:3]))


def fake(path: Path, answer: str) -> None:
    """Put a program there that answers like an interpreter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho x >> {path.parent / 'asked'}\necho '{answer}'\n")
    path.chmod(0o755)


def test_version_numbers() -> None:
    assert version_numbers("3.12.1rc2") == (3, 12, 1)
    assert version_numbers("3.11") == (3, 11)
    assert version_numbers("eleven") == ()


def test_fits() -> None:
    assert fits((3, 7, 16), "3.7")
    assert not fits((3, 11, 7), "3.1")
    assert fits((3, 11), "3.11.7")


def test_shims_are_passed_over_and_the_versions_behind_them_found(tmp_path: Path) -> None:
    for name in (
        "shims/python3.5",
        "bin/python3.6",
        "versions/3.4.10/bin/python3",
        "uv/cpython-3.3.2-linux/bin/python3",
    ):
        fake(tmp_path / name, "{}")
    environ = {
        "HOME": str(tmp_path),
        "PATH": f"{tmp_path}/shims:{tmp_path}/bin:{tmp_path}/nonesuch:",
        "PYENV_ROOT": str(tmp_path),
        "UV_PYTHON_INSTALL_DIR": str(tmp_path / "uv"),
    }
    versions = [version for version, _ in found(environ)]
    assert versions[0] == tuple(sys.version_info[:3])
    assert versions[1:] == [(3, 6), (3, 4, 10), (3, 3, 2)]


def test_an_interpreter_is_asked_once_until_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "bin/python3.9"
    fake(path, '{"path": "x", "version": "3.9.1", "implementation": "cpython", "abi": "x"}')
    for _ in range(3):
        assert describe(str(path), tmp_path / "cache").version == "3.9.1"
    assert len((tmp_path / "bin/asked").read_text()) == 2
    fake(path, '{"path": "x", "version": "3.9.22", "implementation": "cpython", "abi": "x"}')
    assert describe(str(path), tmp_path / "cache").version == "3.9.22"


def test_an_interpreter_that_does_not_start(tmp_path: Path) -> None:
    fake(tmp_path / "python3.9", "no JSON")
    with pytest.raises(BuildError, match=r"python3\.9 does not start"):
        describe(str(tmp_path / "python3.9"), tmp_path)


def test_this_one_is_taken_where_it_fits(tmp_path: Path) -> None:
    mine = choose_interpreter(None, None, tmp_path)
    assert mine.version == NOW
    assert os.path.realpath(mine.path) == mine.path
    assert choose_interpreter(NOW, None, tmp_path).version == NOW
    assert choose_interpreter(mine.path, None, tmp_path) == mine


def test_the_newest_in_the_range_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = [((3, 5, 1), "/a/python3.5"), ((3, 6, 9), "/b/python3.6"), ((3, 9), "/c/python3.9")]
    monkeypatch.setattr(interpreters, "found", lambda: here)
    assert candidates(None, ((3, 4), (3, 6))) == ["/b/python3.6", "/a/python3.5"]
    assert candidates("3.5", None) == ["/a/python3.5"]
    assert candidates("/nonesuch/python", None) == []
    with pytest.raises(BuildError, match=r"Found here: 3\.5, 3\.6, 3\.9"):
        choose_interpreter("3.8", None, tmp_path)


def test_a_longer_wish_is_decided_by_the_interpreter_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path / "python3.9", '{"path": "x", "version": "3.9.1", "implementation": "cpython", "abi": "x"}')
    monkeypatch.setattr(interpreters, "found", lambda: [((3, 9), str(tmp_path / "python3.9"))])
    assert choose_interpreter("3.9.1", None, tmp_path).version == "3.9.1"
    with pytest.raises(BuildError):
        choose_interpreter("3.9.18", None, tmp_path)


def test_a_range_of_one_version_is_that_version() -> None:
    assert span_text(((3, 7), (3, 7))) == "3.7"
    assert span_text(((3, 9), (3, 12))) == "3.9 to 3.12"
