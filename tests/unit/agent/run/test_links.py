"""Links to inputs in a work folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from launcher.agent.run import links, workdir


@pytest.fixture
def run(tmp_path: Path) -> Path:
    source = tmp_path / "snapshot"
    (source / "data" / "MNIST").mkdir(parents=True)
    (source / "data" / "MNIST" / "read.py").write_text("r")
    (source / "data" / "empty").mkdir()
    (source / "data" / "list.txt").write_text("l")
    (source / "train.py").write_text("t")
    folder = tmp_path / "runs" / "1"
    folder.mkdir(parents=True)
    (folder / "source").symlink_to("../../snapshot")
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "mnist"
    folder.mkdir()
    (folder / "images").write_text("i")
    return folder


@pytest.mark.parametrize("mode", ["link", "copy"])
def test_links_lie_among_the_entries_of_the_source(run: Path, target: Path, mode: str) -> None:
    work = Path(workdir.make(str(run), 0, mode))
    paths = {name: str(target) for name in ("data/MNIST/raw", "data/empty", "new/deep/raw", "top")}
    links.make(str(work), paths)
    for path in paths:
        assert (work / path / "images").read_text() == "i"
    for path, text in {"data/MNIST/read.py": "r", "data/list.txt": "l", "train.py": "t"}.items():
        assert (work / path).read_text() == text
    (work / "data" / "MNIST" / "processed").write_text("made by the script")
    assert sorted(os.listdir(run.parent.parent / "snapshot" / "data")) == ["MNIST", "empty", "list.txt"]
    assert os.listdir(run.parent.parent / "snapshot" / "data" / "MNIST") == ["read.py"]
    links.remove(str(work), paths)
    workdir.tidy(str(work))
    assert (target / "images").read_text() == "i"
    assert (work / "data" / "MNIST" / "processed").read_text() == "made by the script"
    assert not (work / "new").exists()
    assert not os.path.lexists(work / "top")
    if mode == "link":
        assert os.listdir(work) == ["data"]
        assert os.listdir(work / "data") == ["MNIST"]
        assert os.listdir(work / "data" / "MNIST") == ["processed"]


def test_nothing_is_left_of_links_alone(run: Path, target: Path) -> None:
    work = workdir.make(str(run), 0, "link")
    links.make(work, {"data/MNIST/raw": str(target)})
    links.remove(work, {"data/MNIST/raw": str(target)})
    workdir.tidy(work)
    assert not (run / "work").exists()


@pytest.mark.parametrize("path", ["train.py", "data", "train.py/raw"])
def test_nothing_of_the_source_is_replaced(run: Path, target: Path, path: str) -> None:
    work = workdir.make(str(run), 0, "link")
    with pytest.raises(OSError, match=r"exists|Not a directory|directory"):
        links.make(work, {path: str(target)})


def test_what_the_script_removed_or_replaced_is_no_matter(run: Path, target: Path) -> None:
    work = Path(workdir.make(str(run), 0, "link"))
    paths = {"data/a": str(target), "b/c": str(target)}
    links.make(str(work), paths)
    (work / "data" / "a").unlink()
    (work / "data" / "a").symlink_to("/tmp")
    (work / "b" / "c").unlink()
    (work / "b").rmdir()
    links.remove(str(work), paths)
    assert os.listdir(work / "data") == ["a"]
