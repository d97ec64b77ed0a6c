"""Frozen values that travel through a launch, and the ports that implementations fill.

A `RunSpec` is what a configuration means; `Facts` is what this machine has. They are plain data: compared in
tests, printed by a dry run and written as JSON into the run folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from launcher.capabilities import EnvironmentRequest, Framework

if TYPE_CHECKING:
    from launcher.capabilities import Capabilities, Needs, Row, Traits
    from launcher.errors import Problem
    from launcher.facts import Facts, Mpi
    from launcher.plan import Plan
    from launcher.session import Session

SCHEMA = 1
"""Version of every record that is written into the store."""


class State(StrEnum):
    """States of a run, with the names that Azure ML gave them."""

    NOT_STARTED = "NotStarted"
    PREPARING = "Preparing"
    QUEUED = "Queued"
    STARTING = "Starting"
    RUNNING = "Running"
    FINALIZING = "Finalizing"
    CANCEL_REQUESTED = "CancelRequested"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELED = "Canceled"
    DAMAGED = "Damaged"
    """A record cannot be used: nobody can say how the run is. No record holds this state."""

    @property
    def terminal(self) -> bool:
        """Whether nothing can follow this state that a command could wait for."""
        return self in {State.COMPLETED, State.FAILED, State.CANCELED, State.DAMAGED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a run asks for: hosts, processes on each, and what these may use."""

    nodes: int = 1
    processes_per_node: int = 1
    gpus_per_node: int = 0
    cpus_per_process: int | None = None
    memory_gib: float | None = None
    """Memory of a node, in GiB."""
    time_limit_min: float | None = None

    @property
    def world_size(self) -> int:
        """Number of processes over all nodes."""
        return self.nodes * self.processes_per_node


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An environment that is ready to be used."""

    key: str
    """Content hash of everything that went into it, or `current`."""
    python: str
    """Absolute path of its interpreter."""
    prefix: str
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variables that processes in it need."""
    packages: tuple[str, ...] = ()
    """What is installed, as `name==version`."""
    image: str | None = None
    """The image that it is, by an address that stands for this content alone; the paths above are in it."""
    archive: str | None = None
    """The same packed, for nodes that unpack it to their own disk."""
    build: Mapping[str, Any] | None = None
    """What a job needs to build it, where that is left to the job; the paths above are empty then."""


class Progress(Protocol):
    """Where slow work tells how far it is."""

    def step(self, text: str, done: float | None = None) -> None:
        """Tell what is being done; `done` is a fraction of 1 where it is known."""
        ...


class Distribution(Protocol):
    """How a run becomes processes. Pure."""

    kind: ClassVar[str]

    @property
    def needs(self) -> Needs:
        """What it needs of the other axes."""
        ...

    def check(self, spec: RunSpec, facts: Facts) -> Iterable[Problem]:
        """Return what is wrong with these options in this spec."""
        ...

    def size(self, spec: RunSpec) -> int:
        """Return how many processes there are, without a plan."""
        ...

    def plan(self, spec: RunSpec, facts: Facts) -> Plan:
        """Return the processes. Called only when nothing is wrong."""
        ...


class Environment(Protocol):
    """What the script can import."""

    kind: ClassVar[str]

    @property
    def traits(self) -> Traits:
        """What the other axes may know of it."""
        ...

    def check(self, request: EnvironmentRequest, facts: Facts) -> Iterable[Problem]:
        """Return what is wrong with these options for this request."""
        ...

    def describe(self, request: EnvironmentRequest, facts: Facts) -> Iterable[str]:
        """Return its lines of a dry run; nothing is touched."""
        ...

    def horovod_controllers(self, facts: Facts) -> tuple[str, ...]:
        """Return what the Horovod of this environment can do, or will when it is built."""
        ...

    def own_mpi(self) -> Mpi | None:
        """Return the MPI that comes with it, None where that of the machine serves."""
        ...

    def pinned(self, packages: Iterable[str]) -> Environment | None:
        """Return it with the versions that `Prepared.packages` has; None: what is gone cannot be built."""
        ...

    def prepare(self, request: EnvironmentRequest, facts: Facts, cache: Path, progress: Progress) -> Prepared:
        """Build it, or find it built.

        Raises:
            BuildError: with the last lines of the tool that failed.
        """
        ...


class Data(Protocol):
    """The named inputs of a run."""

    def names(self) -> tuple[str, ...]:
        """Return the names of the inputs."""
        ...

    def check(self, spec: RunSpec, facts: Facts) -> Iterable[Problem]:
        """Return what is wrong with these inputs."""
        ...

    def prepare(self, cache: Path, progress: Progress) -> Mapping[str, str]:
        """Bring the inputs to this machine; return the absolute path of each."""
        ...


class Compute(Protocol):
    """Where runs run. Canceling and ends are in `launcher.compute.jobs`; logs are files of the store."""

    kind: ClassVar[str]

    @property
    def features(self) -> Capabilities:
        """What the other axes may know of it."""
        ...

    @property
    def max_parallel(self) -> int | None:
        """Members of a sweep that run side by side, where that is asked for."""
        ...

    def probe(self, spec: RunSpec, facts: Facts, session: Session | None) -> Facts:
        """Return facts of this host with those of the target; without a session nothing is started."""
        ...

    def check(self, spec: RunSpec, facts: Facts) -> Iterable[Problem]:
        """Return what this target cannot do for this spec."""
        ...

    def describe(self, request: LaunchRequest, plan: Plan, facts: Facts) -> Iterable[str]:
        """Return the lines of a dry run about one run; nothing is touched."""
        ...

    def describe_jobs(self, members: Sequence[tuple[LaunchRequest, Plan]]) -> Iterable[str]:
        """Return those about what members of this kind are handed over as, together."""
        ...

    def check_rows(
        self, request: LaunchRequest, timeout_s: float, say: Callable[[str], None]
    ) -> Iterator[Row]:
        """Yield what of the target works from this host; `say` tells what it waits for."""
        ...

    def submit(self, folders: Sequence[Path], store: Path, facts: Facts, session: Session) -> None:
        """Hand over run folders whose environment is ready."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """One run, resolved: what the configuration means."""

    name: str
    source: Path
    """Absolute path of the source directory."""
    script: str | None
    """Entry script, relative to `source`; None where `command` is given."""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    """Arguments of script or command, one element each."""
    cwd: str | None = None
    """Sub-folder of `source` in which the processes start; None: the folder itself."""
    stdin: str | None = None
    """File that the process of rank 0 reads as its standard input, relative to `source` or absolute."""
    resources: Resources = Resources()
    framework: Framework = field(default_factory=Framework)
    distribution: Distribution
    environment: Environment
    data: Data
    compute: Compute
    retries: int = 0
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    description: str = ""
    work: str = "link"
    links: tuple[str, ...] = ()
    """Paths in the source that are not frozen: the working folder has links to the source's own."""
    objective: str | None = None
    snapshot_limit_mib: float = 300.0
    app: Mapping[str, Any] | None = None
    """Of a job of somebody's Hydra app: the way to its task function, and its frozen configuration."""

    @property
    def program(self) -> tuple[str, ...]:
        """The argv of every process."""
        if self.script is None:
            return (*self.command, *self.args)
        head = ("@{python}", os.path.relpath(self.script, self.cwd) if self.cwd else self.script)
        return (*head, *self.args)

    @property
    def environment_request(self) -> EnvironmentRequest:
        """What of it the environment depends on."""
        return EnvironmentRequest(
            framework=self.framework,
            gpus=self.resources.gpus_per_node > 0,
            needs=self.distribution.needs,
            target=self.compute.features,
            compute=self.compute.kind,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchRequest:
    """What one command line asks for: a run, and how to go about it."""

    spec: RunSpec
    store: Path
    config: str
    """The resolved configuration as YAML."""
    overrides: tuple[str, ...] = ()
    wait: bool = True
    dry_run: bool = False


def plain(value: Any) -> Any:
    """Return a dataclass, mapping or sequence as JSON-ready data; options carry their `kind`."""
    if is_dataclass(value):
        data = {each.name: plain(getattr(value, each.name)) for each in fields(value)}
        kind = getattr(value, "kind", None)
        return {"kind": kind, **data} if kind is not None else data
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in cast("Sequence[Any]", value)]
    return str(value) if isinstance(value, (Path, StrEnum)) else value
