"""One process on one node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from launcher.capabilities import Needs
from launcher.errors import Problem
from launcher.plan import Plan, Process

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.facts import Facts
    from launcher.spec import RunSpec


@dataclass(frozen=True, kw_only=True)
class Single:
    """One process. On a cluster it may have more nodes, for a command that starts others there by itself."""

    kind: ClassVar[str] = "single"

    @property
    def needs(self) -> Needs:
        """See `Distribution.needs`."""
        return Needs()

    def check(self, spec: RunSpec, facts: Facts) -> Iterable[Problem]:
        """See `Distribution.check`."""
        del facts
        if spec.compute.features.remote_start:
            return
        for key in ("nodes", "processes_per_node"):
            given = getattr(spec.resources, key)
            if given > 1:
                hint = "Choose distribution=horovod, parameter_server, multi_worker, torch or mpi to use more"
                yield Problem(key, given, "1 with distribution=single", hint)

    def size(self, spec: RunSpec) -> int:
        """See `Distribution.size`."""
        del spec
        return 1

    def plan(self, spec: RunSpec, facts: Facts) -> Plan:
        """See `Distribution.plan`."""
        del facts
        process = Process(role="worker", index=0, rank=0, local_rank=0, node=0, argv=spec.program)
        return Plan(nodes=1, processes_per_node=1, processes=(process,))
