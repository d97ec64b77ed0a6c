"""What follows an attempt that is over."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ..base.failure_kinds import FailureKind


class Action(Enum):
    """What this process does next about a run."""

    CONCLUDE = "conclude"
    """The run is over."""
    RETRY = "retry"
    """Its next attempt begins here."""
    REQUEUE = "requeue"
    """The scheduler is asked to start it again."""
    AWAIT = "await"
    """The scheduler starts it again by itself."""
    LEAVE = "leave"
    """Another process has taken it over."""


class Decision(NamedTuple):
    """An action, and what the attempt is said to have come to once more is known."""

    action: Action
    outcome: str = "Failed"
    cause: tuple[FailureKind, str] | None = None
    """Kind and message instead of those that the attempt has; None: they stand."""
