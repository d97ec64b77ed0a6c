"""What can fail in a run: the kind of a cause, in all records."""

from __future__ import annotations

from enum import Enum


class FailureKind(str, Enum):
    """One kind a failure that needs another answer; docs/runs.md has the same list for users."""

    ENVIRONMENT = "environment"
    """The environment could not be built or prepared."""
    DATA = "data"
    """An input could not be fetched."""
    SUBMIT = "submit"
    """The scheduler or the engine refused the run."""
    SOURCE = "source"
    """The frozen source was changed."""
    START = "start"
    """A process, or an agent, did not start."""
    EXIT = "exit"
    """A process exited with an error."""
    SIGNAL = "signal"
    """A process was killed."""
    TIME_LIMIT = "time_limit"
    """A time limit was reached, of the run or of its job."""
    OUT_OF_MEMORY = "out_of_memory"
    """The kernel killed a process for its memory."""
    PREEMPTED = "preempted"
    """The job made room for another."""
    NODE_FAIL = "node_fail"
    """A node of the job failed or did not start."""
    REQUEUED = "requeued"
    """Somebody requeued the job."""
    ENDED = "ended"
    """The scheduler, or somebody, asked the job or the supervisor to end, and nobody says why."""
    RETRIES = "retries"
    """The scheduler started the run again although no retry was left."""
    SUPERSEDED = "superseded"
    """A later attempt has begun elsewhere."""
    AGENT_LOST = "agent_lost"
    """The agent of another node is gone."""
    CONTAINER_LOST = "container_lost"
    """A container ended or was stopped from outside."""
    ENGINE_LOST = "engine_lost"
    """The container engine ended or cannot be reached."""
    LAUNCHER_LOST = "launcher_lost"
    """The launch command ended before it had handed the run over."""
    SUPERVISOR_LOST = "supervisor_lost"
    """The supervisor of a run was killed, or asked to end."""
    CANCEL = "cancel"
    """Somebody canceled the run."""
    DAMAGED = "damaged"
    """A record cannot be used; no record has this kind."""

    def __str__(self) -> str:
        """Return it as records have it, also in formatted text."""
        return self.value


PROCESS_ENDS = frozenset((FailureKind.EXIT, FailureKind.SIGNAL))
"""Kinds that say how a process ended, and nothing of the reason."""
