"""A folder outside any project, with a source that holds one script."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of a test; `src/x.py` is there."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "x.py").write_text("print('x')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LAUNCHER_STORE", raising=False)
    return tmp_path
