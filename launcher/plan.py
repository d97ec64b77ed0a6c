"""What a distribution makes of a spec: processes with symbolic texts, or one mpirun. Plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class GpuVisibility(StrEnum):
    """Which GPUs of its node a process sees."""

    NODE = "node"
    PROCESS = "process"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process of a plan. Texts may hold placeholders, which the agent fills on the node.

    `@{python}` interpreter of the environment · `@{prefix}` its folder · `@{host.N}` address of node N ·
    `@{node.N}` its name · `@{interface}` the network interface · `@{subnet}` its network · `@{port.NAME}` a
    free port on the node where the process of that name (`worker.0`) runs, or on node 0 · `@{data.NAME}` a
    data input · `@{run}` the run folder · `@{agent}` the agent's code.
    """

    role: str
    index: int
    rank: int
    local_rank: int
    node: int
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    gpus: GpuVisibility = GpuVisibility.NODE
    ready_port: str | None = None
    """Name of a port: the processes after this one start when it accepts connections."""

    @property
    def name(self) -> str:
        """`worker-0`, as in the name of its log."""
        return f"{self.role}-{self.index}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MpiLine:
    """One mpirun that starts all ranks, on remote nodes through the agents; or one srun."""

    argv: tuple[str, ...]
    """mpirun, or srun, with its options."""
    program: tuple[str, ...]
    """What every rank runs."""
    env: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a run becomes processes: its own, or one mpirun that starts them."""

    nodes: int
    """That have processes, and so an agent each; a job may have more of them for a process to use."""
    processes_per_node: int
    processes: tuple[Process, ...] = ()
    mpi: MpiLine | None = None
    ends_with: tuple[str, ...] = ()
    """Roles whose end is the end of the run (the rest is then ended, which is no failure);
    empty: every process."""
    ports: Mapping[str, int] = field(default_factory=dict[str, int])
    """Names of the free ports wanted, each with the node that it must be free on."""
