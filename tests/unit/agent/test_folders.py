"""The work folder and the manifest."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from launcher.agent import record, workdir
from launcher.agent.manifest import write_manifest

ODD = ["plain.py", "sp ace", "-dash", "new\nline", "ä", os.fsdecode(b"\xff\xfe"), ".hidden", "'\"$`"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder whose snapshot is read-only and holds odd names."""
    snapshot = tmp_path / "snapshot"
    (snapshot / "package").mkdir(parents=True)
    (snapshot / "package" / "module.py").write_text("x = 1")
    (snapshot / "package" / "link").symlink_to("module.py")
    (snapshot / "dangling").symlink_to("nowhere")
    (snapshot / "outputs").mkdir()
    (snapshot / "logs").write_text("not a folder")
    for name in ODD:
        (snapshot / name).write_text(name, errors="surrogateescape")
    for path in (snapshot / "package" / "module.py", snapshot / "plain.py"):
        path.chmod(0o444)
    folder = tmp_path / "runs" / "1"
    folder.mkdir(parents=True)
    (folder / "source").symlink_to("../../snapshot")
    return folder


@pytest.mark.parametrize("mode", ["link", "copy"])
def test_everything_of_the_source_is_there(run: Path, mode: str) -> None:
    work = Path(workdir.make(str(run), 0, mode))
    assert work == run / "work" / "0"
    for name in ODD:
        assert os.fsencode((work / name).read_text(errors="surrogateescape")) == os.fsencode(name)
    assert (work / "package" / "module.py").read_text() == "x = 1"
    assert (work / "package" / "link").is_symlink()
    (work / "outputs" / "model").write_text("m")
    (work / "logs" / "events").write_text("e")
    assert (run / "outputs" / "model").read_text() == "m"
    assert (run / "logs" / "events").read_text() == "e"
    assert (run / "metrics").is_dir()


def test_a_copy_may_be_changed_and_the_snapshot_is_not(run: Path) -> None:
    work = Path(workdir.make(str(run), 1, "copy"))
    for path in (work / "package" / "module.py", work / "plain.py"):
        assert path.stat().st_mode & 0o200
        path.write_text("changed")
    assert (run / "source" / "package" / "module.py").read_text() == "x = 1"
    assert os.readlink(work / "dangling") == "nowhere"  # noqa: PTH115  # as it is written
    workdir.tidy(str(work))
    assert (work / "plain.py").exists()
    assert not (work / "outputs").exists()


def test_what_only_links_is_tidied_away(run: Path) -> None:
    workdir.tidy(workdir.make(str(run), 0, "link"))
    assert not (run / "work").exists()


def test_what_the_script_left_in_its_folder_is_kept(run: Path) -> None:
    work = Path(workdir.make(str(run), 0, "link"))
    (work / "left").write_text("kept")
    (work / "own").symlink_to("/tmp")
    workdir.tidy(str(work))
    assert sorted(os.listdir(work)) == ["left", "own"]


def test_the_manifest_lists_what_a_run_left(tmp_path: Path) -> None:
    for name in ("outputs/a/model", f"logs/{ODD[5]}", "metrics/worker-0.jsonl", "work/0/ignored"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("content")
    big = tmp_path / "big"
    big.write_bytes(b"x" * 100)
    (tmp_path / "outputs" / "link").symlink_to(big)
    os.mkfifo(tmp_path / "outputs" / "fifo")
    (tmp_path / "outputs" / "large").touch()
    os.truncate(tmp_path / "outputs" / "large", 10**13)  # sparse; 14 hours to hash
    write_manifest(str(tmp_path), 60)
    files = (record.read(str(tmp_path / "manifest.json")) or {})["files"]
    hashed = {name for name, entry in files.items() if "sha256" in entry}
    assert hashed == {"outputs/a/model", f"logs/{ODD[5]}", "metrics/worker-0.jsonl"}
    assert files.keys() - hashed == {"outputs/link", "outputs/fifo", "outputs/large"}
    assert files["outputs/a/model"]["size"] == 7
    assert files["outputs/a/model"]["sha256"] == hashlib.sha256(b"content").hexdigest()


def test_without_time_nothing_is_hashed(tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "x").write_text("x")
    write_manifest(str(tmp_path), 0)
    assert "sha256" not in (record.read(str(tmp_path / "manifest.json")) or {})["files"]["outputs/x"]
