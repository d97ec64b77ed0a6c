"""The state of the git repository around a source tree."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Git:
    """Where a source tree stands in its repository."""

    commit: str | None
    """None before the first commit."""
    branch: str | None
    """None where HEAD is detached."""
    dirty: bool | None
    """Whether files of the source differ from the commit; None where git did not answer in time."""
