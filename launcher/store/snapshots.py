"""Read-only copies of source trees, by content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A source tree in the store."""

    digest: str
    files: int
    bytes: int
    path: Path
