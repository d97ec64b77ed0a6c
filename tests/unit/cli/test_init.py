import json
import subprocess
import sys
from pathlib import Path

import pytest

from launcher import cli
from launcher.cli.init import FILES, TEMPLATES
from launcher.errors import StoreError
from launcher.paths import StoreFolder
from launcher.project import find_project


def run(folder: Path, *words: str, said: bool = True) -> str:
    line = [sys.executable, *words]
    done = subprocess.run(line, cwd=folder, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout + (done.stderr if said else "")


def test_a_new_project_runs_at_once_and_its_test_passes(
    store: StoreFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not store.root.exists()
    monkeypatch.delenv("LAUNCHER_STORE")
    folder = tmp_path / "My Project"
    assert cli.main(["init", str(folder)]) == 0
    told = capsys.readouterr().out
    assert f"cd '{folder}'" in told
    assert "-m launcher experiment=quick" in told
    assert find_project(folder).conf == folder / "conf"
    run(folder, "-m", "launcher", "args.steps=20")
    shown = json.loads(run(folder, "-m", "launcher", "runs", "show", "latest", "--json"))
    assert (shown["id"], shown["state"]) == ("my-project/1", "Completed")
    assert shown["metrics"]["loss"] < 5
    assert (folder / "store" / "runs" / "my-project" / "1" / "outputs" / "model.json").is_file()
    again = json.loads(run(folder, "-m", "launcher", "runs", "rerun", "latest", "--json", said=False))
    assert (again["id"], again["rerun_of"]) == ("my-project/2", "my-project/1")
    assert "Completed" in run(folder, "-m", "launcher", "runs", "wait", "latest")
    assert "OK" in run(folder, "-m", "unittest", "discover", "tests")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "train.py").write_text("mine")
    with pytest.raises(StoreError, match=r"src/train\.py: already there, and nothing was written"):
        cli.main(["init", str(tmp_path)])
    assert [path.name for path in tmp_path.iterdir()] == ["src"]
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        cli.main(["init", str(tmp_path / "file" / "below")])


def test_json_and_a_folder_whose_name_says_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["init", "--json", str(tmp_path / "…")]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == list(FILES)
    assert 'name = "project"' in (tmp_path / "…" / "pyproject.toml").read_text()


def test_every_template_is_used() -> None:
    assert {path.name for path in TEMPLATES.iterdir()} == set(FILES.values())
