"""Launches onto this session's clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.slurm.lab import SlurmLab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["cluster", "hostile_cluster"])
def lab(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SlurmLab]:
    """Launches onto the plain cluster, and onto the hostile one."""
    made = SlurmLab(tmp_path, request.getfixturevalue(request.param))
    yield made
    made.clean_up()
