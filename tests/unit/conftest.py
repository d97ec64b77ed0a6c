"""For all unit tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.stand_ins import StandIns

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    """Programs that stand in for others."""
    return StandIns(tmp_path / "bin", monkeypatch)
