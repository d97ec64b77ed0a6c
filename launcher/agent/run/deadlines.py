"""What ends an attempt as time goes on: its limit, an end that was announced, a later attempt."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from ..base.failure_kinds import FailureKind

if TYPE_CHECKING:
    from ..targets.local import LocalTarget

LOOK_S = 5.0
"""How often to look whether a later attempt has begun."""


class Deadlines:
    """Tells when an attempt has to end, and why."""

    def __init__(self, run: str, number: int, limit_min: float | None, target: LocalTarget) -> None:
        self._run = run
        self._number = number
        self._limit_min = limit_min
        self._target = target
        self._deadline: float | None = None
        self._warning: tuple[float, FailureKind, str] | None = None
        self._next_look = 0.0

    def start(self) -> None:
        """Let the time limit begin."""
        self._deadline = time.monotonic() + self._limit_min * 60 if self._limit_min else None

    @property
    def deadline(self) -> float | None:
        """When the time limit is reached (monotonic seconds)."""
        return self._deadline

    def warn(self, kind: FailureKind, message: str, grace_s: float) -> bool:
        """Take note of an announced end; tell whether it is the first."""
        first = self._warning is None
        self._warning = self._warning or (time.monotonic() + grace_s, kind, message)
        return first

    @property
    def warned(self) -> tuple[FailureKind, str] | None:
        """Kind and message of the end that was announced."""
        return None if self._warning is None else self._warning[1:]

    def reason(self, now: float) -> tuple[FailureKind, str] | None:
        """Return kind and message of what ends the attempt now."""
        if self._deadline is not None and now >= self._deadline:
            more_s = self._target.more_s(self._limit_min or 0)
            if more_s <= 0:
                return FailureKind.TIME_LIMIT, "time_limit_min=%g was reached" % (self._limit_min or 0)
            self._deadline = now + more_s if more_s < math.inf else None
        if self._warning is not None and now >= self._warning[0]:
            _, kind, message = self._warning
            more_s = self._target.left_s() if kind is FailureKind.TIME_LIMIT else 0.0
            if more_s <= 0:
                return kind, message
            self._warning = (now + more_s, kind, message) if more_s < math.inf else None
        if now >= self._next_look:
            self._next_look = now + LOOK_S
            if self._target.is_superseded(self._run, self._number):
                return FailureKind.SUPERSEDED, "a later attempt has begun elsewhere"
        return None
