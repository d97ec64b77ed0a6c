"""Types of the options `hydra.launcher.…` of `launcher_local` and `launcher_slurm`.

hydra_plugins/launcher_plugin.py registers their names alone: it is a part of every start of every Hydra app
on the machine, and classes would take five times as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class LocalConf:
    """Options of `launcher_local`; null is the default that launcher has everywhere."""

    compute: str = "local"
    name: str | None = None
    nodes: int | None = None
    gpus_per_node: int | None = None
    retries: int | None = None
    max_parallel: int | None = None
    distribution: str | None = None
    env: dict[str, str] | None = None
    secrets: list[str] | None = None
    tags: dict[str, str] | None = None
    source: str | None = None
    links: list[str] | None = None
    snapshot_limit_mib: float | None = None
    store: str | None = None
    wait: bool | None = None
    # what launcher calls otherwise than hydra-submitit-launcher, both spellings
    time_limit_min: float | None = None
    timeout_min: float | None = None
    cpus_per_process: int | None = None
    cpus_per_task: int | None = None
    processes_per_node: int | None = None
    tasks_per_node: int | None = None
    memory_gib: float | None = None
    mem_gb: float | None = None
    # of no meaning here
    submitit_folder: str | None = None
    stderr_to_stdout: bool | None = None


@dataclass
class SlurmConf(LocalConf):
    """Options of `launcher_slurm`: those above, and those of `compute=slurm`."""

    compute: str = "slurm"
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    nodelist: str | None = None
    exclude: str | None = None
    exclusive: bool | None = None
    reservation: str | None = None
    dependency: str | None = None
    comment: str | None = None
    mail_type: str | None = None
    mail_user: str | None = None
    gres: str | None = None
    gpu_type: str | None = None
    setup: list[str] | None = None
    teardown: list[str] | None = None
    login_shell: bool | None = None
    export: str | None = None
    python: str | None = None
    interface: str | None = None
    ports: str | None = None
    signal: str | None = None
    grace_s: int | None = None
    srun_args: list[str] | None = None
    additional_parameters: dict[str, Any] | None = None
    # what only hydra-submitit-launcher calls so
    cpus_per_gpu: int | None = None
    gpus_per_task: int | None = None
    mem_per_gpu: str | None = None
    mem_per_cpu: str | None = None
    signal_delay_s: int | None = None
    max_num_timeout: int | None = None
    array_parallelism: int | None = None
