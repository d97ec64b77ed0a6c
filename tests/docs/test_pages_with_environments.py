"""Pages that build environments and train, as a reader types them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .pages import WITH_ENVIRONMENTS
from .reader import CACHE, Reader

if TYPE_CHECKING:
    from pathlib import Path

FIRST_RUN = "docs/getting-started.md"
"""Shows a first run, so its cache is empty; the others share the environments of this machine."""


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_ENVIRONMENTS)
def test_a_page_works(page: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache" if page == FIRST_RUN else CACHE
    Reader(tmp_path, {"LAUNCHER_CACHE": str(cache)}).read(page)
