"""Wheels without debug information."""

from __future__ import annotations

import base64
import csv
import hashlib
import shutil
import subprocess
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from launcher.environment.build import horovod_build
from launcher.environment.build.horovod_build import apply, ensure_wheel
from launcher.environment.build.tools import Tools
from launcher.environment.build.wheels import strip_wheel
from launcher.environment.recipe.frameworks import releases
from launcher.environment.recipe.horovod import HorovodRequest
from launcher.environment.recipe.interpreters import Interpreter
from launcher.errors import BuildError
from launcher.facts import Facts
from launcher.prepare import Lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("strip")), reason="needs gcc and strip")
def test_a_stripped_wheel_is_smaller_and_its_record_true(tmp_path: Path) -> None:
    source, library = tmp_path / "a.c", tmp_path / "a.so"
    source.write_text("static int hidden(int x) { return x + 1; }\nint seen(int x) { return hidden(x); }\n")
    subprocess.run(["gcc", "-g", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    wheel = tmp_path / "demo-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(library, "demo/a.so")
        archive.writestr("demo/__init__.py", "x = 1\n")
        archive.writestr("demo-1.dist-info/RECORD", "demo/a.so,sha256=old,1\n")
    made = strip_wheel(wheel, tmp_path / "out", Tools(log=tmp_path / "log"))
    assert made.name == wheel.name
    assert list((tmp_path / "out").iterdir()) == [made]
    with zipfile.ZipFile(made) as archive:
        rows = {
            name: (hashed, size)
            for name, hashed, size in csv.reader(
                archive.read("demo-1.dist-info/RECORD").decode().splitlines()
            )
        }
        assert set(rows) == set(archive.namelist())
        assert rows["demo-1.dist-info/RECORD"] == ("", "")
        for name in ("demo/a.so", "demo/__init__.py"):
            data = archive.read(name)
            hashed = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            assert rows[name] == (f"sha256={hashed}", str(len(data)))
        assert len(archive.read("demo/a.so")) < library.stat().st_size


def test_a_patch_that_finds_nothing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one two\n")
    apply([("a.txt", "t.o", "2")], tmp_path)
    assert (tmp_path / "a.txt").read_text() == "one 2\n"
    with pytest.raises(BuildError, match=r"a\.txt: nothing like 't\.o'"):
        apply([("a.txt", "t.o", "2")], tmp_path)


def test_a_wheel_that_another_host_has_just_made_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This host's view of the folder was older when it took the lease."""
    wish = HorovodRequest.of(releases("tensorflow")[0], Facts(), gpu=False)
    python = Interpreter(path="/a/python", version="3.11.7", implementation="cpython", abi="cpython-311")

    class Lease(horovod_build.Lease):
        def once(self, find: Any, make: Callable[[], Any], step: Any, text: str) -> Any:
            def make_late() -> Any:
                [place] = (tmp_path / "leases").iterdir()
                folder = tmp_path / "wheels" / place.name.removeprefix("wheel-").removesuffix(".json")
                folder.mkdir(parents=True)
                zipfile.ZipFile(folder / "horovod-1-py3-none-any.whl", "w").close()
                return make()

            return super().once(find, make_late, step, text)

    def place_of(folder: Path) -> Any:
        raise AssertionError(folder)

    monkeypatch.setattr(horovod_build, "Lease", Lease)
    found = ensure_wheel(wish, {}, python, tmp_path, Lines(), place_of)
    assert (found.name, found.exists()) == ("horovod-1-py3-none-any.whl", True)
