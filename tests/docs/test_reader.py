"""The reader of pages notices what does not work."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from .pages import REPOSITORY, Block, same_form
from .reader import Reader
from .trained import is_trained

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def page(tmp_path: Path, *fences: tuple[str, str]) -> Iterator[Block]:
    for number, (info, text) in enumerate(fences):
        language, *words = info.split()
        yield Block(str(tmp_path), number, language, tuple(words), text)


@pytest.mark.parametrize(
    ("fences", "message"),
    [
        ([("sh", "false\n")], "exit code 1"),
        ([("sh", "python -m launcher runs shw\n")], "exit code 2"),
        ([("sh", "python -m launcher init\n")], "exit code 2"),
        ([("sh project", "true\n")], "no block above it wrote the project"),
        (
            [("sh", "python -m launcher init myproject\n"),
             ("sh project", "python -m launcher experiment=quick args.folder=x\n")],
            "unrecognized arguments: --folder",
        ),
        ([("sh dry-run=trained", "python -m launcher args.folder=x\n")], "tf_mnist.py has no --folder"),
        ([("sh dry-run=trained", "python -m launcher script=tf_mnist.py\n")], "mnist.py needs --data-folder"),
        ([("sh as-in=README.md", "python -m launcher runs lst\n")], "does not have these lines"),
        ([("sh needs-moon", "true\n")], "needs-moon has no reason"),
        ([("console", "$ echo a\nb\n")], "printed\na"),
        ([("sh", "echo a\n"), ("text output", "b\n")], "printed was\na"),
        ([("text", "b\n")], "which text it is"),
        ([("ruby", "b\n")], "who reads 'ruby'"),
    ],
)  # fmt: skip
def test_a_page_that_does_not_work_fails(fences: list[tuple[str, str]], message: str, tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    *before, last = page(tmp_path, *fences)
    for block in before:
        reader.type(block)
    with pytest.raises(AssertionError, match=re.escape(message)):
        reader.type(last)


def test_folder_and_variables_last_from_block_to_block(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    fences = (
        ("sh", "mkdir there && cd there\nexport A='b c'\n"),
        ("yaml", "# conf/x.yaml\na: 1\n"),
        ("console", "$ cat conf/x.yaml; echo $A; basename $PWD\n…\na: 1\nb c\nthere\n"),
    )
    for block in page(tmp_path, *fences):
        reader.type(block)


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("Completed in 3.2 s", "Completed in 12 s", True),
        ("[   3.2 s] x", "[1 min 05 s] x", True),
        ("Completed in 3.2 s", "Failed in 3.2 s", False),
        ("a\n…\nd", "a\nb\nc\nd", True),
        ("a\n…\nd", "a\nb\nc", False),
        ("run …/store", "run /x y/store", True),
        ("a", "a\nb", False),
        ("sweep 87232ef5358e  2 runs", "sweep 0123456789ab 2 runs", True),
        ("lines/1", "lines/2", False),
    ],
)
def test_what_a_page_shows_is_compared(shown: str, printed: str, *, same: bool) -> None:
    assert same_form(shown, printed) == same


def test_the_repository_is_what_readers_get(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    assert (reader.checkout / "README.md").read_bytes() == (REPOSITORY / "README.md").read_bytes()
    assert not (reader.checkout / ".venv").exists()


@pytest.mark.parametrize(
    ("words", "trained"),
    [
        ("distribution=horovod nodes=2", True),
        ("distribution=horovod nodes=2 processes_per_node=2", True),
        ("compute=docker distribution=horovod nodes=2", True),
        ("experiment=mnist_parameter_server", True),
        ("distribution=horovod nodes=3", False),
        ("compute=docker distribution=torch nodes=2", False),
        ("args.epochs=7", False),
    ],
)
def test_lines_that_no_training_test_launches_are_noticed(words: str, *, trained: bool) -> None:
    assert is_trained(f"python -m launcher {words}") == trained
