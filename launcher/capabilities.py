"""What the choices of one axis tell the others: plain data, so that nobody asks for their kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """Of a compute target."""

    one_queue: bool = False
    """All runs of a launch are handed over together, even if their options differ."""
    images: bool = False
    """Its nodes are containers of an image, which the environment is or builds."""
    pull: str = "missing"
    """When such an image is brought from its registry: `missing`, `always` or `never`."""
    containers: bool = False
    """Processes run in containers, which see nothing of this host but what is lent to them."""
    container_option: str = ""
    """The option that names a container for processes of environment=current; empty: there is none."""
    several_hosts: bool = True
    """Nodes are hosts of their own to programs, with an address and shared memory each."""
    remote_start: bool = False
    """A program can start others on further nodes by means of the target."""
    srun: bool = False
    port_range: tuple[int, int] | None = None
    """First and last port that nodes may use among themselves; None: all are open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Of a distribution."""

    mpi: bool = False
    """An MPI, where there is one."""
    mpi4py: bool = False
    horovod: bool = False
    srun: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """Of an environment."""

    own_python: bool = False
    """It is the Python that runs the launcher."""
    packages: bool = False
    """It brings the packages of the framework."""
    base: str = ""
    """Image that it begins with; empty: known only when it is built."""
    complete: bool = False
    """Nothing is added to that image."""
    image: str = ""
    """Name of the image that it becomes, `KEY` in the place of what only its build knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Framework:
    """The machine-learning framework whose packages the environment brings."""

    name: str = "python"
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentRequest:
    """What of a run its environment depends on."""

    framework: Framework
    gpus: bool
    needs: Needs
    """Of the distribution."""
    target: Capabilities
    compute: str
    """The name of the target, for words."""
    deferrable: bool = True
    """Whether its build may be left to the job."""


OK: Final = "ok"
WARN: Final = "warn"
BAD: Final = "bad"


class Row(NamedTuple):
    """One line of `launcher compute check`."""

    what: str
    level: str
    found: str
    next: str = ""
