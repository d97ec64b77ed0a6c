"""Pages on Slurm, as a reader types them on a cluster."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from .pages import NAMES, ON_A_CLUSTER, blocks
from .reader import CACHE, Reader

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.machine import Cluster

PARTLY = [
    name
    for name in NAMES
    if name not in ON_A_CLUSTER and any(block.needs == "slurm" for block in blocks(name))
]
"""Pages of which only some blocks need a cluster."""


@pytest.mark.slow
@pytest.mark.parametrize("page", ON_A_CLUSTER)
def test_a_page_works(page: str, tmp_path: Path, cluster: Cluster) -> None:
    reader = Reader(tmp_path, cluster.variables, has={"slurm"})
    if page == "docs/from-hydra-submitit-launcher.md":
        reader.write_files_of("docs/hydra-apps.md")
    reader.read(page)
    if page == "docs/slurm.md":
        said = "\n".join(reader.outputs.values())
        assert "begins with step 0\n" in said
        assert re.search(r"^begins with step [1-9]", said, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("page", PARTLY)
def test_blocks_of_other_pages_work(page: str, tmp_path: Path, cluster: Cluster) -> None:
    reader = Reader(tmp_path, {**cluster.variables, "LAUNCHER_CACHE": str(CACHE)}, has={"slurm"})
    reader.read_what_needs("slurm", page)
