"""What counts as a change of a snapshot, and what does not."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from launcher.agent.base import atomic_json, integrity

ODD = os.fsdecode(b"\xff\xfe")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a snapshot with its record."""
    folder = tmp_path / "snapshots" / "d"
    (folder / "sub" / "empty").mkdir(parents=True)
    (folder / "link").symlink_to("sub/run.sh")
    files = {"conf.py": "V=1", "sub/run.sh": "#!/bin/sh", ODD: "odd"}
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder / "sub" / "run.sh").chmod(0o755)
    digests = {
        name: hashlib.blake2b(text.encode(), digest_size=20).hexdigest() for name, text in files.items()
    }
    integrity.seal(str(folder), str(folder), digests, ["", "sub/", "sub/empty/"], {"link": "sub/run.sh"})
    return folder


def test_an_unchanged_tree_has_no_changes(tree: Path) -> None:
    assert integrity.find_changes(str(tree)) == []


def test_every_kind_of_change_is_found(tree: Path) -> None:
    with (tree / "conf.py").open("a") as file:
        file.write("V=2")
    (tree / "sub" / "new.py").touch()
    (tree / "sub" / "run.sh").chmod(0o644)
    (tree / "sub" / "empty").rmdir()
    (tree / "link").unlink()
    (tree / "link").symlink_to("conf.py")
    (tree / ODD).unlink()
    assert integrity.find_changes(str(tree)) == sorted(
        [
            "conf.py (changed)",
            "link (changed)",
            "sub/empty/ (missing)",
            "sub/new.py (new)",
            "sub/run.sh (changed)",
            f"{ODD} (missing)",
        ]
    )


def test_a_change_of_the_same_size_is_found(tree: Path) -> None:
    (tree / "conf.py").write_text("V=2")
    assert integrity.find_changes(str(tree)) == ["conf.py (changed)"]


def test_a_folder_in_place_of_a_file_is_a_change(tree: Path) -> None:
    (tree / "conf.py").unlink()
    (tree / "conf.py").mkdir()
    assert integrity.find_changes(str(tree)) == ["conf.py (changed)"]


def test_other_times_and_hard_links_are_no_change(tree: Path, tmp_path: Path) -> None:
    os.link(tree / "conf.py", tmp_path / "another")
    os.utime(tree / "sub" / "run.sh", (1, 1))
    (tree / "sub" / "__pycache__").mkdir()
    assert integrity.find_changes(str(tree)) == []
    copy = tmp_path / "copy" / "d"
    shutil.copytree(tree, copy, symlinks=True, copy_function=shutil.copy)
    shutil.copy(integrity.record_path(str(tree)), integrity.record_path(str(copy)))
    assert integrity.find_changes(str(copy)) == []


def test_without_a_record_nothing_is_compared(tree: Path) -> None:
    Path(integrity.record_path(str(tree))).unlink()
    (tree / "new.py").touch()
    assert integrity.find_changes(str(tree)) == []


def test_a_tree_that_is_gone_is_a_change(tree: Path) -> None:
    shutil.rmtree(tree)
    assert ". (missing)" in integrity.find_changes(str(tree))


def test_a_message_names_ten_changes() -> None:
    assert integrity.describe(["a (new)"]) == "a (new)"
    assert integrity.describe([f"{number} (new)" for number in range(12)]).endswith("9 (new) and 2 more")


def test_an_alarm_that_cannot_be_written_ends_nothing(tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    integrity.raise_alarm(str(tree), "mnist/1", ["conf.py (changed)"])
    assert (atomic_json.read(integrity.alarm_path(str(tree))) or {})["changes"] == ["conf.py (changed)"]
    integrity.raise_alarm("/proc/none/d", "mnist/1", [])
    assert "/proc/none/changed.json" in capfd.readouterr().err
