"""The options of `compute=slurm`: the one list of their names."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from launcher.compute.containers import Container


class Signal(StrEnum):
    """What processes are told by that they have to end."""

    TERM = "TERM"
    INT = "INT"
    USR1 = "USR1"
    USR2 = "USR2"


@dataclass(frozen=True, kw_only=True)
class SlurmOptions:
    """A Slurm cluster. Options that are null are left to the site's defaults."""

    kind: ClassVar[str] = "slurm"

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    nodelist: str | None = None
    exclude: str | None = None
    exclusive: bool = False
    reservation: str | None = None
    dependency: str | None = None
    comment: str | None = None
    mail_type: str | None = None
    mail_user: str | None = None
    gres: str | None = None
    """In place of what `gpus_per_node` asks for, such as `gpu:a100:2`."""
    gpu_type: str | None = None
    """With `gpus_per_node`: `--gpus-per-node=TYPE:N`."""
    max_parallel: int | None = None
    """Members of a sweep that run side by side, whatever the number of its arrays."""
    setup: list[str] = field(default_factory=list[str])
    """Lines of shell before the run, such as `module load cuda`. They run on the first node."""
    teardown: list[str] = field(default_factory=list[str])
    """Lines of shell after it."""
    login_shell: bool = True
    """So that `module` exists."""
    export: str = "NIL"
    """What of the submitting shell's environment the job gets: `NIL` nothing, `ALL`, or names."""
    python: str | None = None
    """Python 3.8 or newer for the agents; null: the one that submits, else python3."""
    interface: str | None = None
    """Network interface between the nodes; null: the one that works."""
    ports: str = "20000-32000"
    """Ports that nodes may use among themselves, first and last."""
    signal: Signal = Signal.TERM
    """What a script is told by that time is nearly up or that it is preempted, if it handles it."""
    grace_s: int = 60
    """How long before the end it is told."""
    srun_args: list[str] = field(default_factory=list[str])
    """Further options of the srun that starts the other nodes' agents."""
    container: Container = field(default_factory=Container)
    """Into which the processes are started on every node, once it has an image."""
    additional_parameters: dict[str, Any] = field(default_factory=dict[str, Any])
    """Any other option of sbatch."""
