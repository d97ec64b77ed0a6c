"""What a probe finds in the world. Plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.limits import MEMBERS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Mpi:
    """An MPI installation."""

    mpirun: str
    """Absolute path; in an environment that is yet to be built `@{prefix}/bin/mpirun`."""
    flavour: str
    """`openmpi`, `mpich` or `intel`."""
    version: str
    compiler: str | None = None
    """Absolute path of mpicxx, or None where the headers are missing."""

    @property
    def major(self) -> int:
        """First number of the version, 0 where it could not be read."""
        head = self.version.split(".", 1)[0]
        return int(head) if head.isdigit() else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """Limits of a part of a cluster; of its nodes the largest counts."""

    nodes: int
    """That one job may have."""
    cpus: int
    memory_mib: int
    gpus: int
    time_limit_min: float | None
    """None: no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What the scheduler that this host submits to allows."""

    partitions: Mapping[str, Partition]
    default_partition: str | None
    max_array: int
    """Members of one array."""
    max_jobs: int = MEMBERS
    """That its controller keeps, the members of arrays among them (MaxJobCount)."""
    pmi: tuple[str, ...] = ()
    """What its srun can tell MPI's ranks by (`srun --mpi=list`); empty where that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """The container engine that this host's user speaks to."""

    problem: str = ""
    """Why there is none; then nothing else is known."""
    address: str = ""
    version: str = ""
    cpus: int = 1
    memory_mib: int = 0
    rootless: bool = False
    """Whether its root is the user, so that a container's root is the submitter."""
    remapped: bool = False
    """Whether it gives users of containers other numbers (userns-remap)."""
    elsewhere: str = ""
    """Why it is none of this machine; empty where it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the probe found in the world, in bounded time."""

    cpus: int = 1
    memory_mib: int = 0
    """Of this machine; 0 where that is not known."""
    gpus: tuple[str, ...] = ()
    """Index of each GPU of this machine, as CUDA_VISIBLE_DEVICES takes it."""
    mpi: Mpi | None = None
    cxx: str | None = None
    """C++ compiler, as an absolute path."""
    modules: frozenset[str] = frozenset()
    """Which of the modules that matter (tensorflow, torch, horovod, mpi4py) this Python can import."""
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of these modules the installed versions, where a version is asked for; empty where nobody can know."""
    horovod_controllers: tuple[str, ...] = ()
    """What the Horovod that a run would use can do: `mpi`, `gloo`."""
    cluster: Cluster | None = None
    """With compute=slurm, where there is one."""
    engine: Engine | None = None
    """With compute=docker."""
    image: str | None = None
    """The reference of the run's image, where the engine has it and no registry need be asked."""
    unknown_secrets: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of the secrets that the spec names those without a value, each with what is expected, in words."""
    secrets_file: Path | None = None
    """Where at least one of the others stands."""
