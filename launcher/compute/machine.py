"""What one machine cannot hold of a run: the targets that start processes or containers here share it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.errors import Problem
from launcher.limits import (
    CONTAINERS_AT_LEAST,
    CONTAINERS_PER_CPU,
    PROCESSES,
    PROCESSES_AT_LEAST,
    PROCESSES_PER_CPU,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.facts import Facts
    from launcher.spec import RunSpec


def check_machine(spec: RunSpec, facts: Facts) -> Iterator[Problem]:
    """Return what this machine can never start of a run."""
    resources = spec.resources
    yield from _check_processes(spec, facts.cpus)
    cpus = resources.cpus_per_process
    if cpus is not None and cpus > facts.cpus:
        yield Problem("cpus_per_process", cpus, f"at most {facts.cpus}: this machine has that many CPUs")
    memory = resources.memory_gib
    if memory is not None and facts.memory_mib and memory * 1024 > facts.memory_mib:
        expected = f"at most {facts.memory_mib / 1024:.4g}: this machine has that much memory"
        yield Problem("memory_gib", memory, expected)


def check_containers(spec: RunSpec, facts: Facts) -> Iterator[Problem]:
    """Return what this machine cannot start as containers."""
    cpus = facts.engine.cpus if facts.engine is not None else facts.cpus
    yield from _check_processes(spec, cpus)
    most = max(CONTAINERS_AT_LEAST, CONTAINERS_PER_CPU * cpus)
    if spec.resources.nodes > most:
        expected = f"at most {most} ({CONTAINERS_PER_CPU} containers for each CPU of this machine)"
        yield Problem("nodes", spec.resources.nodes, expected)


def _check_processes(spec: RunSpec, cpus: int) -> Iterator[Problem]:
    most = max(PROCESSES_AT_LEAST, PROCESSES_PER_CPU * cpus)
    nodes, each = spec.resources.nodes, spec.resources.processes_per_node
    size = max(spec.distribution.size(spec), nodes)
    if most < size <= PROCESSES:  # more than that no target takes
        expected = f"at most {most} processes in all ({PROCESSES_PER_CPU} for each CPU of this machine"
        expected += f", at least {PROCESSES_AT_LEAST})"
        keys = {"nodes": nodes > 1 or each == 1, "processes_per_node": each > 1}
        key = ", ".join(name for name, counts in keys.items() if counts)
        yield Problem(key, size, expected, "Choose compute=slurm for more")
