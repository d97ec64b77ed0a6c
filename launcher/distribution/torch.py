"""torch.distributed's environment, as torchrun sets it."""

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
class Torch:
    """One process a rank, which calls `init_process_group` itself."""

    kind: ClassVar[str] = "torch"

    @property
    def needs(self) -> Needs:
        """See `Distribution.needs`."""
        return Needs()

    def check(self, spec: RunSpec, facts: Facts) -> Iterable[Problem]:
        """See `Distribution.check`."""
        del facts
        if spec.framework.name in {"tensorflow", "sklearn"}:
            yield Problem(
                "framework", spec.framework.name, "pytorch with distribution=torch", "Try framework=pytorch"
            )

    def size(self, spec: RunSpec) -> int:
        """See `Distribution.size`."""
        return spec.resources.world_size

    def plan(self, spec: RunSpec, facts: Facts) -> Plan:
        """See `Distribution.plan`."""
        del facts
        nodes, local_size = spec.resources.nodes, spec.resources.processes_per_node
        processes = tuple(
            Process(
                role="worker", index=rank, rank=rank, local_rank=rank % local_size, node=rank // local_size,
                argv=spec.program, env=_env(rank, nodes, local_size),
            )
            for rank in range(nodes * local_size)
        )  # fmt: skip
        return Plan(nodes=nodes, processes_per_node=local_size, processes=processes, ports={"master": 0})


def _env(rank: int, nodes: int, local_size: int) -> dict[str, str]:
    numbers = {
        "RANK": rank,
        "WORLD_SIZE": nodes * local_size,
        "LOCAL_RANK": rank % local_size,
        "LOCAL_WORLD_SIZE": local_size,
        "GROUP_RANK": rank // local_size,
        "GROUP_WORLD_SIZE": nodes,
        "NODE_RANK": rank // local_size,
    }
    addresses = {
        "MASTER_ADDR": "@{host.0}",
        "MASTER_PORT": "@{port.master}",
        "GLOO_SOCKET_IFNAME": "@{interface}",
        "NCCL_SOCKET_IFNAME": "@{interface}",
    }
    return {key: str(value) for key, value in numbers.items()} | addresses
