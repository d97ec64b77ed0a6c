"""Horovod over MPI, or over Gloo with Horovod's own rendezvous server and no mpirun."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from launcher.capabilities import Needs
from launcher.distribution.mpi import Start, check_start, mpi_plan
from launcher.errors import Problem
from launcher.plan import GpuVisibility, Plan, Process

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.facts import Facts
    from launcher.spec import RunSpec


class Controller(StrEnum):
    """What starts Horovod's ranks and carries its control messages."""

    auto = "auto"
    mpi = "mpi"
    gloo = "gloo"


# Seconds that a rank waits for the others: imports on loaded machines skew starts by more than Horovod's 30.
_GLOO_TIMEOUT_S = 300


@dataclass(frozen=True, kw_only=True)
class Horovod:
    """Data-parallel training with Horovod."""

    kind: ClassVar[str] = "horovod"

    controller: Controller = Controller.auto
    """`auto` takes MPI where an mpirun exists that the environment's Horovod was built for."""
    start: Start = Start.mpirun
    """With MPI, what starts the ranks: mpirun, or with compute=slurm also Slurm's srun."""
    mpi_args: list[str] | None = None
    """Further options of mpirun, or of srun. null: what keeps it from pinning each rank to one core."""

    @property
    def needs(self) -> Needs:
        """See `Distribution.needs`."""
        return Needs(mpi=True, horovod=True, srun=self.start is Start.srun)

    def _chosen(self, spec: RunSpec, facts: Facts) -> Controller:
        if self.controller is not Controller.auto:
            return self.controller
        if self.start is Start.srun:
            return Controller.mpi
        usable = "mpi" in facts.horovod_controllers and not list(check_start(spec, facts, self.start, "", ""))
        return Controller.mpi if usable else Controller.gloo

    def check(self, spec: RunSpec, facts: Facts) -> Iterable[Problem]:
        """See `Distribution.check`."""
        if spec.framework.name not in {"tensorflow", "pytorch"} and spec.environment.traits.packages:
            hint = "Try framework=tensorflow"
            yield Problem(
                "framework", spec.framework.name, "tensorflow or pytorch with distribution=horovod", hint
            )
        chosen = self._chosen(spec, facts)
        if self.start is Start.srun and chosen is Controller.gloo:
            hint = "Gloo's ranks are started by the agents: set distribution.start=mpirun"
            yield Problem("distribution.start", str(self.start), "mpirun with controller=gloo", hint)
        elif self.controller is Controller.mpi or self.start is Start.srun:
            yield from check_start(spec, facts, self.start, "distribution.controller", "mpi")
        if not facts.horovod_controllers and spec.environment.traits.own_python:
            return  # no Horovod at all, which the environment tells
        if chosen not in facts.horovod_controllers and (facts.mpi is not None or chosen is Controller.gloo):
            allowed = " or ".join(facts.horovod_controllers) or "an environment that holds Horovod"
            hint = "Install MPI's headers (libopenmpi-dev) or choose environment=packages"
            yield Problem("distribution.controller", str(self.controller), allowed, hint)

    def size(self, spec: RunSpec) -> int:
        """See `Distribution.size`."""
        return spec.resources.world_size + 1  # Gloo's rendezvous server

    def plan(self, spec: RunSpec, facts: Facts) -> Plan:
        """See `Distribution.plan`."""
        if self._chosen(spec, facts) is Controller.mpi:
            return mpi_plan(spec, facts, self.start, self.mpi_args)
        nodes, local_size = spec.resources.nodes, spec.resources.processes_per_node
        hosts = ",".join(f"@{{node.{node}}}:{local_size}" for node in range(nodes))
        server = (
            "@{python}",
            "@{agent}/mpi/horovod_rendezvous.py",
            "@{host.0}",
            "@{port.rendezvous}",
            hosts,
            str(nodes * local_size),
        )
        processes = [
            Process(
                role="rendezvous", index=0, rank=-1, local_rank=0, node=0, argv=server,
                gpus=GpuVisibility.NONE, ready_port="rendezvous",
            )
        ]  # fmt: skip
        processes += [
            Process(
                role="worker", index=rank, rank=rank, local_rank=rank % local_size, node=rank // local_size,
                argv=spec.program, env=_gloo_env(rank, nodes, local_size),
            )
            for rank in range(nodes * local_size)
        ]  # fmt: skip
        return Plan(
            nodes=nodes, processes_per_node=local_size, processes=tuple(processes),
            ends_with=("worker",), ports={"rendezvous": 0},
        )  # fmt: skip


def _gloo_env(rank: int, nodes: int, local_size: int) -> dict[str, str]:
    """Return what horovodrun's gloo_run sets for a rank."""
    numbers = {
        "RANK": rank,
        "SIZE": nodes * local_size,
        "LOCAL_RANK": rank % local_size,
        "LOCAL_SIZE": local_size,
        "CROSS_RANK": rank // local_size,
        "CROSS_SIZE": nodes,
        "GLOO_TIMEOUT_SECONDS": _GLOO_TIMEOUT_S,
    }
    texts = {
        "HOSTNAME": f"@{{node.{rank // local_size}}}",
        "GLOO_RENDEZVOUS_ADDR": "@{host.0}",
        "GLOO_RENDEZVOUS_PORT": "@{port.rendezvous}",
        "GLOO_IFACE": "@{interface}",
        "CONTROLLER": "gloo",
        "CPU_OPERATIONS": "gloo",
    }
    return {f"HOROVOD_{key}": str(value) for key, value in (numbers | texts).items()}
