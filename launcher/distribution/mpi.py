"""All ranks started by one mpirun, whose remote shell is the agents' shim, or by one srun."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from launcher.capabilities import Needs
from launcher.distribution.mpirun import PMI, mpirun_line, srun_line
from launcher.errors import Problem
from launcher.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from launcher.facts import Facts
    from launcher.spec import RunSpec


class Start(StrEnum):
    """What starts MPI's ranks."""

    mpirun = "mpirun"
    srun = "srun"


def check_mpi(spec: RunSpec, facts: Facts, key: str, given: str) -> Iterable[Problem]:
    """Return what keeps mpirun from running this spec here."""
    if facts.mpi is None:
        hint = "Install it, on Debian: apt-get install openmpi-bin libopenmpi-dev"
        yield Problem(key, given, "an mpirun on PATH", hint)
    elif spec.resources.nodes > 1 and not spec.compute.features.several_hosts:
        if facts.mpi.flavour != "openmpi":
            hint = "Use processes_per_node instead, or Open MPI 4"
            yield Problem("nodes", spec.resources.nodes, f"1 on this machine with {facts.mpi.flavour}", hint)
        elif facts.mpi.major >= 5:  # noqa: PLR2004  # its prted does not end when one machine acts several
            hint = f"Use processes_per_node={spec.resources.world_size} nodes=1, or Open MPI 4"
            yield Problem(
                "nodes", spec.resources.nodes, "1 on this machine with Open MPI 5, which hangs there", hint
            )


def check_srun(spec: RunSpec, facts: Facts) -> Iterable[Problem]:
    """Return what keeps srun from starting MPI's ranks."""
    key, given = "distribution.start", str(Start.srun)
    if not spec.compute.features.srun:
        expected = f"mpirun with compute={spec.compute.kind}"
        yield Problem(key, given, expected, "srun is Slurm's: choose compute=slurm")
        return
    flavour = facts.mpi.flavour if facts.mpi else "openmpi"
    wanted = PMI.get(flavour)
    there = facts.cluster.pmi if facts.cluster else ()
    if wanted is None:
        yield Problem(key, given, f"mpirun with {flavour}, which srun was not seen to start")
    elif there and wanted not in there:
        listed = ", ".join(there)
        hint = "Choose distribution.start=mpirun"
        yield Problem(key, given, f"a Slurm with {wanted}, which {flavour} needs; this has {listed}", hint)


def check_start(spec: RunSpec, facts: Facts, start: Start, key: str, given: str) -> Iterable[Problem]:
    """Return what keeps this way to start ranks from running this spec."""
    return check_srun(spec, facts) if start is Start.srun else check_mpi(spec, facts, key, given)


def mpi_plan(spec: RunSpec, facts: Facts, start: Start, options: Sequence[str] | None) -> Plan:
    """Return the plan in which one mpirun, or srun, starts every rank."""
    if start is Start.srun:
        line = srun_line(facts.mpi, spec, options)
    else:
        assert facts.mpi is not None, "checked"  # noqa: S101
        line = mpirun_line(facts.mpi, spec, options, facts.cpus)
    return Plan(nodes=spec.resources.nodes, processes_per_node=spec.resources.processes_per_node, mpi=line)


@dataclass(frozen=True, kw_only=True)
class MpiRun:
    """Any MPI program, such as one with mpi4py."""

    kind: ClassVar[str] = "mpi"

    start: Start = Start.mpirun
    """What starts the ranks: the MPI's own mpirun, or with compute=slurm also Slurm's srun."""
    mpi_args: list[str] | None = None
    """Further options of mpirun, or of srun. null: what keeps it from pinning each rank to one core, such
    as `--bind-to none`."""

    @property
    def needs(self) -> Needs:
        """See `Distribution.needs`."""
        return Needs(mpi=True, mpi4py=True, srun=self.start is Start.srun)

    def check(self, spec: RunSpec, facts: Facts) -> Iterable[Problem]:
        """See `Distribution.check`."""
        return check_start(spec, facts, self.start, "distribution", self.kind)

    def size(self, spec: RunSpec) -> int:
        """See `Distribution.size`."""
        return spec.resources.world_size

    def plan(self, spec: RunSpec, facts: Facts) -> Plan:
        """See `Distribution.plan`."""
        return mpi_plan(spec, facts, self.start, self.mpi_args)
