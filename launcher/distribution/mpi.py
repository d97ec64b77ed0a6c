"""All ranks started by one mpirun, whose remote shell is the agents' shim."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from launcher.errors import Problem
from launcher.plan import MpiLine, Plan

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.spec import Facts, Mpi, RunSpec

RANK_STUB = ("sh", "@{agent}/rank.sh")
"""Gives every rank its own log and metrics file and records how it ended."""

_LOOPBACK = "127.0.0.0/8"


def check_mpi(spec: RunSpec, facts: Facts, key: str, given: str) -> Iterable[Problem]:
    """Return what keeps mpirun from running this spec here."""
    if facts.mpi is None:
        hint = "Install it, on Debian: apt-get install openmpi-bin libopenmpi-dev"
        yield Problem(key, given, "an mpirun on PATH", hint)
    elif spec.resources.nodes > 1 and spec.compute.kind == "local":
        if facts.mpi.flavour != "openmpi":
            hint = "Use processes_per_node instead, or Open MPI 4"
            yield Problem("nodes", spec.resources.nodes, f"1 on this machine with {facts.mpi.flavour}", hint)
        elif facts.mpi.major >= 5:  # noqa: PLR2004  # its prted does not end when one machine acts several
            hint = f"Use processes_per_node={spec.resources.world_size} nodes=1, or Open MPI 4"
            yield Problem(
                "nodes", spec.resources.nodes, "1 on this machine with Open MPI 5, which hangs there", hint
            )


def mpirun_argv(mpi: Mpi, spec: RunSpec, options: Iterable[str], cpus: int) -> tuple[str, ...]:
    """Return the mpirun line without its program."""
    resources = spec.resources
    argv = [mpi.mpirun]
    if mpi.flavour != "openmpi":
        return (*argv, *options, "-n", str(resources.world_size))
    if resources.nodes > 1:
        hosts = ",".join(f"@{{node.{i}}}:{resources.processes_per_node}" for i in range(resources.nodes))
        framework, launch = ("--prtemca", "ssh") if mpi.major >= 5 else ("--mca", "rsh")  # noqa: PLR2004
        argv += [framework, "plm", launch, framework, f"plm_{launch}_agent", "@{agent}/shim.sh"]
        argv += [framework, f"plm_{launch}_no_tree_spawn", "1"]
        if spec.compute.kind == "local":
            # Shared memory would pair ranks that believe to be on different hosts.
            argv += ["--mca", "btl", "tcp,self", "--mca", "btl_tcp_if_include", _LOOPBACK]
            argv += ["--mca", "oob_tcp_if_include", _LOOPBACK]
            if resources.world_size > cpus:
                # Ranks that wait spin; Open MPI cannot see that these nodes share CPUs. Halves the time of
                # Horovod with 4 ranks on 2 cores.
                argv += ["--mca", "mpi_yield_when_idle", "1"]
        argv += ["-H", hosts]
    else:
        argv += ["--oversubscribe"]
    return (*argv, "-np", str(resources.world_size), *options)


def mpi_plan(spec: RunSpec, facts: Facts, options: Iterable[str]) -> Plan:
    """Return the plan in which one mpirun starts every rank."""
    assert facts.mpi is not None, "checked"  # noqa: S101
    argv = mpirun_argv(facts.mpi, spec, options, facts.cpus)
    line = MpiLine(argv=argv, program=(*RANK_STUB, *spec.program))
    return Plan(nodes=spec.resources.nodes, processes_per_node=spec.resources.processes_per_node, mpi=line)


@dataclass(frozen=True, kw_only=True)
class MpiRun:
    """Any MPI program, such as one with mpi4py."""

    kind: ClassVar[str] = "mpi"

    mpi_args: list[str] = field(default_factory=lambda: ["--bind-to", "none"])
    """Further options of mpirun. The default keeps it from pinning each rank to one core."""

    def check(self, spec: RunSpec, facts: Facts) -> Iterable[Problem]:
        """See `Distribution.check`."""
        return check_mpi(spec, facts, "distribution", self.kind)

    def plan(self, spec: RunSpec, facts: Facts) -> Plan:
        """See `Distribution.plan`."""
        return mpi_plan(spec, facts, self.mpi_args)
