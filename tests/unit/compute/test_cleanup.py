"""Folders of killed agents: removed where it is sure that nobody uses them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from launcher.__main__ import main
from launcher.agent.base import process_identity
from launcher.agent.base.tmp import attempt_mark, tmp_name
from launcher.compute.cleanup import left_folders, remove_folder
from launcher.paths import StoreFolder
from launcher.store import records


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A TMPDIR of its own."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "disk"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    monkeypatch.setenv("LAUNCHER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LAUNCHER_STORE", str(tmp_path / "store"))
    (tmp_path / "disk").mkdir()
    return tmp_path / "disk"


def dead() -> Any:
    """Return who is gone."""
    process = subprocess.Popen(["sleep", "60"])
    who = process_identity.identity(process.pid)
    process.kill()
    process.wait()
    return who


def put(folder: Path, **files: Any) -> Path:
    folder.mkdir(parents=True)
    for name, value in files.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    return folder


def ended(store: StoreFolder, number: int, *, over: bool) -> Path:
    run = store.run("mnist", number)
    put(run.attempt(1))
    submit = {"created": 1.0, "owner": records.owner(), "phases": [["Running", 2.0]]}
    run.submit.write_text(json.dumps(submit))
    run.spec.write_text(json.dumps({"plan": {"nodes": 2}}))
    if over:
        run.end.write_text(json.dumps({"state": "Failed", "time": 3.0}))
    return run.root


def test_only_what_nobody_uses(disk: Path, tmp_path: Path) -> None:
    store = StoreFolder(tmp_path / "store")
    put(store.root, store={"schema": 1, "id": "0" * 32})
    over, runs_on = ended(store, 1, over=True), ended(store, 2, over=False)
    alive, gone, elsewhere = process_identity.identity(), dead(), {**dead(), "host": "node7", "boot": "other"}
    left = {
        put(disk / f"launcher-{'0' * 12}", owner=gone),
        put(disk / f"launcher-{'1' * 12}", box={"name": f"launcher-{'1' * 12}", "owner": gone}),
        put(disk / tmp_name(f"{attempt_mark(str(over), 1)}#1") / "job").parent,
        put(disk / "launcher-env-left" / "users", one=gone).parent,
    }
    stay = [
        put(disk / f"launcher-{'2' * 12}", owner=alive),
        put(disk / f"launcher-{'3' * 12}", owner=elsewhere),
        put(disk / f"launcher-{'4' * 12}"),
        put(disk / tmp_name(f"{attempt_mark(str(runs_on), 1)}#0")),
        put(disk / "launcher-mine", owner=gone),
        put(disk / "thesis"),
        put(disk / "launcher-env-used" / "users", one=gone, two=alive).parent,
    ]
    (disk / f"launcher-{'5' * 12}").symlink_to(tmp_path)
    assert set(left_folders(store)) == left
    assert all(remove_folder(folder) for folder in left_folders(store))
    assert left_folders(store) == []
    assert all(folder.is_dir() for folder in stay)
    assert not any(folder.exists() for folder in left)


def test_without_an_engine_folders_are_cleaned_all_the_same(
    disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left = put(disk / f"launcher-{'0' * 12}", owner=dead())
    assert main(["compute", "clean", "--dry-run"]) == 1
    out, err = capsys.readouterr()
    assert str(left) in out
    assert "Nothing was removed; 1 would be" in out
    assert "containers and networks were not looked at: unix://" in err
    assert main(["compute", "clean", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in told["removed"]] == [str(left)]
    assert "No such file" in told["problem"]
    assert not left.exists()


def test_a_place_that_is_not_there(disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(disk / "none"))
    assert left_folders(StoreFolder(tmp_path / "store")) == []
    with pytest.raises(SystemExit, match="2"):
        main(["compute", "clean", "nodes=2"])
