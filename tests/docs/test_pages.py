"""Every page works as a reader types it: each block, in the page's order, in the folder that the page names.

`reader.py` has the words of the fences. Pages that build environments, or need an engine or a cluster, have
files of their own, because a file is the work of one worker.
"""

from __future__ import annotations

import struct
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from .pages import NAMES, ON_A_CLUSTER, ON_AN_ENGINE, WITH_ENVIRONMENTS, blocks
from .reader import CACHE, NEEDS, Reader
from .trained import is_trained

if TYPE_CHECKING:
    from pathlib import Path

HERE = [
    name for name in NAMES if name not in {ON_AN_ENGINE, *ON_A_CLUSTER, *WITH_ENVIRONMENTS} and blocks(name)
]
PRUNES = "docs/environments.md"
"""Has a cache of its own; the others share the environments of this machine."""
SLOW = {"docs/distributions.md", "docs/runs.md"}
LEFT_OUT = 18
"""How many blocks no test runs, at most."""
TRAINED = 6
"""How many blocks are dry runs here, at most; tests/training runs each of their lines."""


def write_mnist(folder: Path) -> None:
    """Write four files like those of MNIST, which a reader of the page about data has."""
    folder.mkdir()
    for part, count in (("train", 40), ("t10k", 10)):
        images = b"".join(bytes([20 * (i % 10)]) * 784 for i in range(count))
        labels = bytes(i % 10 for i in range(count))
        (folder / f"{part}-images-idx3-ubyte").write_bytes(
            struct.pack(">4B3I", 0, 0, 8, 3, count, 28, 28) + images
        )
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">4BI", 0, 0, 8, 1, count) + labels)


@pytest.mark.parametrize(
    "page", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in HERE]
)
def test_a_page_works(page: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache" if page == PRUNES else CACHE
    reader = Reader(tmp_path, {"LAUNCHER_CACHE": str(cache)})
    if page == "docs/data.md":
        write_mnist(reader.checkout / "mnist")
    reader.read(page)


def test_what_is_left_out_is_little_and_has_a_reason() -> None:
    everywhere = {"docker", "registry", "slurm"}  # the files on an engine and on a cluster run these
    left_out = [block for name in NAMES for block in blocks(name) if block.needs not in {None, *everywhere}]
    counted = Counter(block.page for block in left_out)
    assert counted.total() <= LEFT_OUT, counted
    used = {block.needs for name in NAMES for block in blocks(name)} - {None}
    assert used == set(NEEDS), "reasons that no block gives"


def test_lines_that_are_dry_runs_here_are_trained_elsewhere() -> None:
    dry = [block for name in NAMES for block in blocks(name) if block.value("dry-run")]
    assert len(dry) <= TRAINED
    for block in dry:
        assert block.value("dry-run") == "trained", block.where
        for line in block.commands():
            assert is_trained(line), f"{block.where}: tests/training has no {line}"


def test_blocks_as_in_another_page_run_there() -> None:
    for block in (block for name in NAMES for block in blocks(name)):
        page = block.value("as-in")
        assert page is None or block.runs_on(page), block.where


def test_pages_that_remove_environments_have_a_cache_of_their_own() -> None:
    for name in NAMES:
        typed = "".join(block.text for block in blocks(name) if block.language in {"sh", "console"})
        assert "env prune" not in typed or name == PRUNES
