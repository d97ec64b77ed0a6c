"""Launches into containers of this session's engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.docker.lab import Boxed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engine.machine import Engine


@pytest.fixture
def lab(tmp_path: Path, engine: Engine) -> Iterator[Boxed]:
    """Launches into containers."""
    made = Boxed(tmp_path, engine)
    yield made
    made.clean_up()
