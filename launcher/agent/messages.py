"""What the agents of a run tell one another, and the records that they read and write, as types.

Nothing of this is needed to run: agents import it for the type checker alone. All of it is JSON, so what is a
tuple in the launcher arrives as a list. Messages to a node have their name in `do`, those from it in `event`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Literal, Optional, TypedDict, Union

if TYPE_CHECKING:
    from typing_extensions import NotRequired

    from .base.failure_kinds import FailureKind

# --- records that the launcher writes ----------------------------------------------------------------


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


# --- messages to a node ------------------------------------------------------------------------------


class Staging(TypedDict):
    """An environment that goes to a node's own disk."""

    archive: str
    prefix: str
    into: str
    python: str
    log: str


class StagingRequest(Staging):
    """The same with the attempt that uses it."""

    user: str
    owner: Dict[str, Any]
    """The agent of that attempt, as `process_identity.identity` describes it."""


class PrepareNode(TypedDict):
    """Get a node ready: answered by `ports`, or by `refused`."""

    do: Literal["prepare"]
    paths: List[str]
    """That must be seen on the node."""
    stage: Optional[Staging]
    box: Optional[Dict[str, Any]]
    """The container that processes are started in, see `base.container_argv`."""
    names: List[str]
    """Of the ports that must be free on it."""
    range: List[int]
    """First port, and the one after the last."""
    step: bool
    """Whether ranks are a step of the Slurm job, and so no children of any agent."""


class Process(TypedDict):
    """A process to start, and where."""

    name: str
    argv: List[str]
    env: Dict[str, str]
    path_prefix: Optional[str]
    cwd: str
    log: str
    stdin: NotRequired[str]
    frozen: NotRequired[str]
    """The snapshot, which is made read-only for processes of root."""
    slurm: NotRequired[bool]
    """Whether it sees that it is part of a Slurm job."""
    tmp: NotRequired[str]


class StartProcesses(TypedDict):
    """Answered by `started` or `refused` for each."""

    do: Literal["start"]
    processes: List[Process]


class StartDaemon(TypedDict):
    """mpirun's daemon; answered as `start` is."""

    do: Literal["daemon"]
    process: Process
    command: str
    """For a shell, as mpirun gives it to its remote shell."""


class AwaitPort(TypedDict):
    """Answered by `listening` once the port accepts connections."""

    do: Literal["await"]
    port: int


class WarnProcesses(TypedDict):
    """A signal for every process that handles it."""

    do: Literal["warn"]
    signal: int


class EndProcesses(TypedDict):
    """SIGTERM now, SIGKILL after the grace."""

    do: Literal["end"]
    grace: float


Message = Union[PrepareNode, StartProcesses, StartDaemon, AwaitPort, WarnProcesses, EndProcesses]

# --- events of a node --------------------------------------------------------------------------------


class Place(TypedDict):
    """Where a node is in the network, known once its container runs."""

    address: str
    interface: str
    subnet: str


class Hello(TypedDict):
    """The agent of a node has come; for nodes that agent 0 serves itself, agent 0 says it."""

    event: Literal["hello"]
    node: NotRequired[int]
    gpus: NotRequired[Optional[List[str]]]
    address: NotRequired[str]
    interface: NotRequired[List[str]]
    """Name, and subnet in CIDR form."""
    lead: NotRequired[str]
    """The address at which it found agent 0."""


class Ports(TypedDict):
    """A node is ready."""

    event: Literal["ports"]
    ports: Dict[str, int]
    place: NotRequired[Place]


class Beat(TypedDict):
    """The node lives."""

    event: Literal["beat"]


class Listening(TypedDict):
    """An awaited port accepts connections."""

    event: Literal["listening"]
    port: int


class Started(TypedDict):
    """A process has begun; in a container of an engine its number is not known."""

    event: Literal["started"]
    name: str
    pid: Optional[int]


class Refused(TypedDict):
    """A process, or without a name the node itself, could not be got ready."""

    event: Literal["refused"]
    name: str
    message: str
    kind: NotRequired[FailureKind]


class Broken(TypedDict):
    """The container of a node has ended."""

    event: Literal["broken"]
    kind: FailureKind
    message: str


class Exited(TypedDict):
    """A process has ended."""

    event: Literal["exited"]
    name: str
    exit_code: Optional[int]
    signal: Optional[int]
    out_of_memory: bool
    """Whether the kernel has killed processes of the node for their memory."""
    reason: Optional[List[str]]
    """Kind and message of what is behind its end."""
    grace_s: Optional[float]
    """How long others may go on; None: as after any failure."""


class Lost(TypedDict):
    """The channel to a node's agent is gone."""

    event: Literal["lost"]
    message: str


Event = Union[Hello, Ports, Beat, Listening, Started, Refused, Broken, Exited, Lost]

# --- records of an attempt ---------------------------------------------------------------------------


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
