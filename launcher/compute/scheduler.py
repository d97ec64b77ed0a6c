"""The port of batch schedulers: what one does for runs, and what it says of a job."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from launcher.facts import Cluster


class JobState(StrEnum):
    """What has become of a job. Those of `BY_SCHEDULER` are named as the `FailureKind` of a cause."""

    PENDING = "pending"
    STARTING = "starting"
    """Its nodes power up."""
    HELD = "held"
    """It goes on only if somebody releases it."""
    RUNNING = "running"
    ENDING = "ending"
    """Its processes are being ended."""
    UNKNOWN = "unknown"
    """A state that the launcher does not know: nothing follows from it."""
    COMPLETED = "completed"
    FAILED = "failed"
    """Its script ended with another exit code than 0, or by a signal."""
    CANCELED = "canceled"
    TIME_LIMIT = "time_limit"
    PREEMPTED = "preempted"
    NODE_FAIL = "node_fail"
    OUT_OF_MEMORY = "out_of_memory"
    NO_OUTPUT = "no_output"
    """The scheduler could not open the job's log."""
    NOT_STARTED = "not_started"
    """The scheduler could not start the script."""
    GONE = "gone"
    """The scheduler has no record of the job any more."""

    @property
    def final(self) -> bool:
        """Whether nothing comes after it, unless the scheduler requeues the job."""
        return self not in _PASSING


_PASSING = (
    JobState.PENDING,
    JobState.STARTING,
    JobState.HELD,
    JobState.RUNNING,
    JobState.ENDING,
    JobState.UNKNOWN,
)

BY_SCHEDULER = (JobState.TIME_LIMIT, JobState.PREEMPTED, JobState.NODE_FAIL, JobState.OUT_OF_MEMORY)
"""The scheduler ended the job for this reason, whatever its processes say."""


class Job(NamedTuple):
    """A job as its scheduler reports it."""

    id: str
    """Of the job, or of one member of an array."""
    state: JobState
    word: str
    """The scheduler's own name of the state."""
    reason: str = ""
    """Why it waits, in the scheduler's words."""
    start: str = ""
    """When it is expected to start, or started, as the scheduler writes it."""
    nodes: str = ""
    """Empty if it never began."""
    ended: float = 0.0
    """Seconds since the epoch; 0 if that is not known."""
    exit_code: int = 0
    signal: int = 0
    folder: str = ""
    """The folder that it was submitted from, by which the launcher recognizes its jobs."""
    message: str = ""
    """Why the scheduler ended it, as a cause tells it."""


class Lookup(NamedTuple):
    """What a scheduler knows of jobs that it no longer lists."""

    jobs: dict[str, Job]
    complete: bool
    """Whether a job that is missing does not exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """A job before it is submitted: one run, or an array of runs that need the same resources."""

    spec: Mapping[str, Any]
    """Of the run, or of an array's first, as its record has it."""
    folder: Path
    """The folder that it is submitted from."""
    agent: Path
    """The agent's code."""
    command: str
    """Of the agent: `job`, or `survey` for a check of the cluster."""
    members: int | None = None
    """Of an array; None: no array."""
    parallel: int | None = None
    """Members that run side by side; None: as many as the options allow."""
    after: tuple[str, ...] = ()
    """Jobs that have to end first."""


class SchedulerError(Exception):
    """A scheduler does not answer; the text is its own."""


class Scheduler(Protocol):
    """A batch scheduler with the options of one target. Only its own package knows its programs."""

    kind: ClassVar[str]
    """As the choice of the group `compute`."""
    title: ClassVar[str]
    """As messages name it."""
    program: ClassVar[str]
    """The program that submits: a host without it cannot."""

    @property
    def site(self) -> str:
        """What distinguishes this cluster from others that the host can submit to."""
        ...

    def render(self, request: JobRequest) -> str:
        """Return the script of a job; nothing is touched."""
        ...

    def submit(self, script: Path, variables: Mapping[str, str]) -> str:
        """Submit a script; return the job's id.

        Args:
            script: the file that `render` gave the text of, in the folder of its job.
            variables: of the job, with the secrets of its runs; other users must not be able to read them.

        Raises:
            SubmitError: the scheduler refused, in its words, or did not answer for long.
        """
        ...

    def list_jobs(self) -> list[Job]:
        """Return the jobs of this user, each member of an array by itself, by one question.

        Raises:
            SchedulerError: the scheduler does not answer.
        """
        ...

    def query(self, ids: Sequence[str]) -> Lookup:
        """Return what is known of jobs that `list_jobs` lacks, such as from accounting."""
        ...

    def cancel(self, ids: Sequence[str]) -> str:
        """End jobs, of which some may have ended; return what the scheduler complains of."""
        ...

    def limits(self) -> Cluster:
        """Return what the cluster allows."""
        ...

    def refine(self, job: Job, log: Sequence[str]) -> Job:
        """Return a job that has ended with what the last lines of its log say about its end."""
        ...

    def member_id(self, job: str, index: int) -> str:
        """Return the id of an array's member; the first has index 0."""
        ...

    def array_id(self, job: str) -> str:
        """Return the id of the array that a job is a member of; of another job its own."""
        ...
