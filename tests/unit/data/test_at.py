"""Where an input may be linked into the working folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.data.at import check_links

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "data" / "MNIST").mkdir(parents=True)
    (tmp_path / "data" / "list.txt").touch()
    (tmp_path / "local" / "raw").mkdir(parents=True)
    (tmp_path / "local" / "raw" / "file").touch()
    (tmp_path / "data" / "kept").mkdir()
    (tmp_path / "data" / "kept" / "raw").touch()
    (tmp_path / "data" / ".gitignore").write_text("kept/raw\n")
    (tmp_path / ".gitignore").write_text("/local\n")
    (tmp_path / "train.py").touch()
    return tmp_path


@pytest.mark.parametrize("at", ["data/MNIST/raw", "data/MNIST", "new", "local/raw", "local", "data/kept/raw"])
def test_free_paths(source: Path, at: str) -> None:
    assert list(check_links({"x": at}, source)) == []


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("/data", "a path relative to the working folder and inside it"),
        ("../data", "inside it"),
        ("a//b", "inside it"),
        ("./a", "inside it"),
        ("outputs/data", "a path outside outputs and logs"),
        ("train.py", "an empty folder. The source has train.py"),
        ("train.py/raw", "The source has train.py"),
        ("data", "The source has data"),
        ("data/list.txt", "The source has data/list.txt"),
    ],
)
def test_paths_that_are_taken(source: Path, at: str, words: str) -> None:
    (problem,) = check_links({"x": at}, source)
    assert str(problem).startswith(f"data.inputs.x.at: got {at!r}; expected ")
    assert words in str(problem)


def test_two_inputs_at_one_path(source: Path) -> None:
    (problem,) = check_links({"x": "new/a", "y": "new"}, source)
    assert str(problem).endswith("expected a path of its own: data.inputs.y.at is new")
    assert len(list(check_links({"x": "new", "y": "new"}, source))) == 2
    assert list(check_links({"x": "new", "y": "newer"}, source)) == []
