"""The command line: what is a command and what a launch, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import launcher
from launcher.__main__ import main


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAUNCHER_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LAUNCHER_STORE", raising=False)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "x.py").write_text("print('ran')\n")
    return tmp_path


def test_an_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rnus", "list"]) == 2
    assert "Did you mean `launcher runs list`?" in capsys.readouterr().err


def test_all_that_is_wrong_is_told_and_nothing_left(
    capsys: pytest.CaptureFixture[str], elsewhere: Path
) -> None:
    assert main(["framework=python", "nodes=0", "wait=1,2", "script=../x.py", "source=src", "name=.."]) == 2
    told = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in told] == ["wait", "name", "script", "nodes"]
    assert [path.name for path in elsewhere.iterdir()] == ["src"]


def test_outside_a_project_it_says_how_to_get_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["framework=python", "script=x.py"]) == 2
    assert "python -m launcher init DIR" in capsys.readouterr().err


def test_a_dry_run_touches_nothing(capsys: pytest.CaptureFixture[str], elsewhere: Path) -> None:
    words = ["framework=python", "source=src", "script=x.py", "data=none", "dry_run=true"]
    assert main(words) == 0
    assert main(["-m", *words, "args.x=1,2"]) == 0
    assert capsys.readouterr().out.count("x.py") >= 3
    assert [path.name for path in elsewhere.iterdir()] == ["src"]


def test_the_version_and_the_configuration_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("launcher ")
    assert main(["--cfg", "job", "framework=sklearn", "--resolve"]) == 0
    assert "data-folder: '@{data.digits}'" in capsys.readouterr().out
    assert main(["--cfg", "nothing"]) == 2


def test_ctrl_c_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("launcher.cli.main", interrupted)
    assert main(["runs", "list"]) == 130


def test_commands_do_not_wait_for_hydra() -> None:
    code = "import sys, launcher.__main__ as it; it.main(['runs', 'list']); print('hydra' in sys.modules)"
    env = {**os.environ, "PYTHONPATH": str(Path(launcher.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
