"""The records that agents read and write, as types.

Nothing of this is needed to run: agents import it for the type checker alone. All of it is JSON, so what is a
tuple in the launcher arrives as a list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Optional, TypedDict

if TYPE_CHECKING:
    from typing_extensions import NotRequired

    from .failure_kinds import FailureKind


class PlannedProcess(TypedDict):
    """See `launcher.plan.Process`; of mpirun's ranks only the first five are known."""

    role: str
    index: int
    rank: int
    local_rank: int
    node: int
    argv: NotRequired[List[str]]
    env: NotRequired[Dict[str, str]]
    gpus: NotRequired[str]
    ready_port: NotRequired[Optional[str]]


class MpiLine(TypedDict):
    """See `launcher.plan.MpiLine`."""

    argv: List[str]
    program: List[str]
    env: Dict[str, str]


class Plan(TypedDict):
    """See `launcher.plan.Plan`."""

    nodes: int
    processes_per_node: int
    processes: List[PlannedProcess]
    mpi: Optional[MpiLine]
    ends_with: List[str]
    ports: Dict[str, int]


class Resources(TypedDict):
    """See `launcher.spec.Resources`."""

    gpus_per_node: int
    cpus_per_process: Optional[int]
    memory_gib: Optional[float]
    time_limit_min: Optional[float]


class Spec(TypedDict):
    """spec.json of a run: see `launcher.spec.RunSpec`; the options of the choices are plain data."""

    id: str
    """Of the run; taken from submit.json."""
    plan: Plan
    resources: Resources
    source: str
    work: str
    retries: int
    env: Dict[str, str]
    compute: Dict[str, Any]
    data: NotRequired[Dict[str, Any]]
    links: NotRequired[List[str]]
    cwd: NotRequired[Optional[str]]
    stdin: NotRequired[Optional[str]]
    app: NotRequired[Optional[Dict[str, Any]]]


class EnvironmentBuild(TypedDict):
    """What a job needs to build its environment (`environment.build_on=job`)."""

    python: str
    code: str
    """The folder that the launcher is imported from."""
    cache: str
    local: NotRequired[List[str]]
    """Packages that are folders."""
    secrets: NotRequired[List[str]]


class Environment(TypedDict):
    """See `launcher.spec.Prepared`."""

    key: str
    python: str
    prefix: str
    env: Dict[str, str]
    image: NotRequired[Optional[str]]
    archive: NotRequired[Optional[str]]
    build: NotRequired[Optional[EnvironmentBuild]]


class Submit(TypedDict, total=False):
    """submit.json of a run, as far as agents read it."""

    id: str
    environment: Environment
    data: Dict[str, str]


class EngineConfig(TypedDict):
    """How a supervisor reaches the container engine."""

    python: str
    code: str
    token: str
    """Of the supervisor; a label of all that is made for it."""
    user: str
    groups: List[int]
    login: str
    remapped: bool
    """Whether the engine gives users of containers other numbers."""
    pipes: List[int]
    """Of a helper that runs already; empty: start one."""


class SupervisorConfig(TypedDict):
    """What a supervisor gets on its standard input."""

    runs: List[str]
    """Their folders."""
    max_parallel: int
    gpus: Optional[List[str]]
    """To be shared out; None: a scheduler does that."""
    log: str
    engine: NotRequired[EngineConfig]


class JobManifest(TypedDict):
    """job.json, beside the script of a scheduler's job."""

    store: str
    runs: List[str]
    """Relative to the store; a task of an array has the one that its index says."""


class Identity(TypedDict):
    """What tells a process from all others, see `process_identity.identity`."""

    host: str
    boot: str
    pid_namespace: str
    pid: int
    started: Optional[int]
    """In clock ticks after boot; None: it was gone when it was asked for."""


class ProcessRecord(TypedDict):
    """A process as state.json has it."""

    role: str
    index: int
    rank: int
    local_rank: NotRequired[int]
    node: str
    log: str
    """Relative to the run folder."""
    pid: Optional[int]
    started: Optional[float]
    ended: Optional[float]
    exit_code: Optional[int]
    signal: Optional[int]
    request: NotRequired[str]
    """Of a daemon of mpirun: which of its remote shells asked for it."""


class Cause(TypedDict):
    """Why a run failed, as end.json and state.json have it."""

    kind: FailureKind
    message: str
    phase: NotRequired[str]
    node: NotRequired[Optional[str]]
    role: NotRequired[Optional[str]]
    index: NotRequired[Optional[int]]
    rank: NotRequired[Optional[int]]
    exit_code: NotRequired[Optional[int]]
    signal: NotRequired[Optional[int]]
    last_lines: NotRequired[List[str]]
