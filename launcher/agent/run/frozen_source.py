"""The snapshot that an attempt runs from, compared with its record before and after."""

from __future__ import annotations

import os

from ..base import process_logs
from ..base.integrity import describe, find_changes, raise_alarm


class FrozenSource:
    """The snapshot that an attempt runs from."""

    def __init__(self, run: str, mark: str) -> None:
        self._path = os.path.realpath(os.path.join(run, "source"))
        self._mark = mark

    def start_error(self) -> str | None:
        """Return why nothing may start from it."""
        changes = self._changes()
        if not changes:
            return None
        words = (
            "the frozen source was changed after it was frozen: %s. A launch of the same source restores it"
        )
        return words % describe(changes)

    def warn(self, log: str) -> None:
        """Write into a log what this run, or another one meanwhile, has changed."""
        changes = self._changes()
        if not changes:
            return
        words = (
            "launcher: the frozen source was changed during this run: %s. With work=copy a script may do so"
        )
        process_logs.add(log, words % describe(changes))

    def _changes(self) -> list[str]:
        changes = find_changes(self._path)
        if changes:
            raise_alarm(self._path, self._mark, changes)
        return changes
