"""The sub-folder in which the processes of a run start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.agent.run import start_folder, workdir

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return a run folder whose source has a folder `a/b`."""
    inner = tmp_path / "snapshot" / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "data").write_text("d")
    (inner.parent / "up").write_text("u")
    for name in ("outputs", "logs"):
        (inner / name).mkdir()
        (inner / name / "old").touch()
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "source").symlink_to("../snapshot")
    return folder


@pytest.mark.parametrize("mode", ["link", "copy"])
def test_the_folder_has_outputs_and_logs_and_is_no_part_of_the_source(run: Path, mode: str) -> None:
    work = workdir.make(str(run), 0, mode)
    start_folder.open_folder(work, "a/b")
    inner = run / "work/0/a/b"
    assert sorted(path.name for path in inner.iterdir()) == ["data", "logs", "outputs"]
    assert (inner / "data").read_text() == "d"
    assert (inner / "../up").read_text() == "u"
    (inner / "outputs" / "model").touch()
    (inner / "new").touch()
    assert sorted(path.name for path in (run / "outputs").iterdir()) == ["model"]
    start_folder.close_folder(work, "a/b")
    workdir.tidy(work)
    assert (inner / "new").exists()
    assert not (inner / "outputs").is_symlink()
    assert (inner / "data").exists() == (mode == "copy")
    source = run / "source/a/b"
    assert sorted(path.name for path in source.iterdir()) == ["data", "logs", "outputs"]


def test_nothing_is_left_of_the_folder_if_the_script_wrote_only_outputs(run: Path) -> None:
    work = workdir.make(str(run), 0, "link")
    start_folder.open_folder(work, "a/b")
    outputs = run / "work/0/a/b/outputs"
    outputs.unlink()
    outputs.mkdir()
    (outputs / "model").touch()
    start_folder.close_folder(work, "a/b")
    workdir.tidy(work)
    assert (run / "outputs" / "model").exists()
    assert [path.name for path in (run / "work/0").glob("**/*") if not path.is_dir()] == []


def test_a_script_may_remove_the_folder(run: Path) -> None:
    work = workdir.make(str(run), 0, "link")
    start_folder.open_folder(work, "a/b")
    (run / "work/0/a").rename(run / "moved")
    start_folder.close_folder(work, "a/b")
    workdir.tidy(work)
    assert not (run / "work").exists()
