"""What is there, whatever a file system remembers."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from launcher.agent.base import atomic_json, shared_fs
from launcher.agent.targets.slurm import SlurmTarget

if TYPE_CHECKING:
    from pathlib import Path


def test_looking_anew_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "one").touch()
    (tmp_path / ".look-of-one-that-was-killed").mkdir()
    before = tmp_path.stat().st_mtime_ns
    time.sleep(0.01)
    assert shared_fs.list_uncached(str(tmp_path)) == ["one"]
    assert tmp_path.stat().st_mtime_ns > before  # that is what makes a client ask again
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_what_is_there_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    late = tmp_path / "late"
    timer = threading.Timer(0.3, late.touch)
    timer.start()
    shared_fs.wait_until_visible(str(late))
    assert late.exists()
    timer.join()
    monkeypatch.setattr(shared_fs, "STALE_S", 0.3)
    with pytest.raises(OSError, match="cannot look it up"):
        shared_fs.wait_until_visible(str(tmp_path / "never"))


def test_of_two_that_publish_the_first_counts(tmp_path: Path) -> None:
    for number, first in (("1", True), ("2", False)):
        draft = tmp_path / number
        draft.mkdir()
        (draft / "who").write_text(number)
        assert atomic_json.publish(str(draft), str(tmp_path / "place")) is first
    assert (tmp_path / "place" / "who").read_text() == "1"
    assert (tmp_path / "2").exists()
    with pytest.raises(FileNotFoundError):
        atomic_json.publish(str(tmp_path / "none"), str(tmp_path / "other"))


def test_an_attempt_is_begun_by_one_job(tmp_path: Path) -> None:
    (tmp_path / "attempts").mkdir()
    site: SlurmTarget = SlurmTarget.__new__(SlurmTarget)
    assert site.try_claim_attempt(str(tmp_path), 1)
    assert not site.try_claim_attempt(str(tmp_path), 1)
    assert site.try_claim_attempt(str(tmp_path / "gone"), 1)  # the attempt itself tells what is wrong there


def test_what_was_made_or_is_there_can_be_looked_up(tmp_path: Path) -> None:
    folder = tmp_path / "one" / "two"
    assert shared_fs.claim_dir(str(folder))
    assert not shared_fs.claim_dir(str(folder))
    assert not shared_fs.exists_on_server(str(folder / "file"))
    (folder / "file").touch()
    assert shared_fs.exists_on_server(str(folder / "file"))
    with pytest.raises(FileNotFoundError):
        shared_fs.exists_on_server(str(tmp_path / "none" / "file"))
