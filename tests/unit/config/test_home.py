"""Paths that begin with `~`, as they are typed: no shell expands them after a `=`."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.config.load import load, load_sweep
from launcher.errors import ConfigError
from launcher.paths import expand_home
from launcher.project import find_store


@pytest.fixture
def home(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's home, with a source."""
    monkeypatch.setenv("HOME", str(place / "home"))
    (place / "home" / "code").mkdir(parents=True)
    (place / "home" / "code" / "x.py").write_text("print(1)\n")
    return place / "home"


def test_every_path_of_a_launch(home: Path, place: Path) -> None:
    words = ["framework=python", "environment=packages", "environment.requirements_file=~/req.txt"]
    words += ["source=~/code", "script=~/code/x.py", "store=~/kept", "data.inputs.a.uri=~/data"]
    request = load([*words, "args.x=~/y", "command=[]", "environment.pip_packages=[~x,six<2]"], place)
    spec = request.spec
    assert (spec.source, spec.script, request.store) == (home / "code", "x.py", home / "kept")
    assert getattr(spec.environment, "requirements_file", None) == str(home / "req.txt")
    assert getattr(spec.environment, "pip_packages", None) == ["~x", "six<2"]
    assert spec.args == ("-x", "~/y")  # an argument stays as it was typed


def test_the_paths_of_a_sweep(home: Path, place: Path) -> None:
    words = ["framework=python", "source=~/code,~", "script=x.py"]
    assert [member.spec.source for member in load_sweep(words, place)] == [home / "code", home]


def test_a_script_is_relative_to_the_source_of_which_a_run_has_a_copy(home: Path, place: Path) -> None:
    (place / "link").symlink_to(home / "code")
    for source in (str(home / "code"), "link"):
        words = ["framework=python", f"source={source}", f"script={home}/code/x.py"]
        assert load(words, place).spec.script == "x.py"
    outside = load(["framework=python", "source=src", f"script={home}/code/x.py"], place).spec
    assert outside.script == f"{home}/code/x.py"


def test_a_home_of_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"path: got .*; expected ~nobody_there to be a user"):
        expand_home("~nobody_there/x")
    monkeypatch.setenv("LAUNCHER_STORE", "~nobody_there/x")
    with pytest.raises(ConfigError, match=r"LAUNCHER_STORE: got '~nobody_there/x'"):
        find_store()
