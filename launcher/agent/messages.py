"""What the agents of a run tell one another, as types.

Messages to a node have their name in `do`, those from it in `event`. Agents import this for the type checker
alone, as they do base/record_types.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Literal, Optional, TypedDict, Union

if TYPE_CHECKING:
    from typing_extensions import NotRequired

    from .base.failure_kinds import FailureKind
    from .base.record_types import Identity

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
    owner: Identity
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
