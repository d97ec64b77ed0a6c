"""One process, and torch.distributed's ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.distribution import CHOICES
from launcher.distribution.single import Single
from launcher.distribution.torch import Torch
from launcher.facts import Facts
from launcher.plan import Plan, Process
from launcher.spec import plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.spec import RunSpec

    Specs = Callable[..., RunSpec]


def test_single(spec: Specs) -> None:
    made = spec(Single())
    argv = ("@{python}", "train.py", "--rate", "0.1")
    process = Process(role="worker", index=0, rank=0, local_rank=0, node=0, argv=argv)
    assert made.distribution.plan(made, Facts()) == Plan(nodes=1, processes_per_node=1, processes=(process,))
    assert list(made.distribution.check(made, Facts())) == []
    more = spec(Single(), 2, 3)
    assert [problem.key for problem in more.distribution.check(more, Facts())] == [
        "nodes",
        "processes_per_node",
    ]


@pytest.mark.parametrize("nodes", [1, 2, 3])
@pytest.mark.parametrize("each", [1, 2, 3])
def test_torch(spec: Specs, nodes: int, each: int) -> None:
    made = spec(Torch(), nodes, each, "pytorch")
    plan = made.distribution.plan(made, Facts())
    assert (plan.ports, plan.ends_with, len(plan.processes)) == ({"master": 0}, (), nodes * each)
    for rank, process in enumerate(plan.processes):
        assert (process.name, process.node, process.local_rank) == (
            f"worker-{rank}",
            rank // each,
            rank % each,
        )
        assert dict(process.env) == {
            "RANK": f"{rank}", "WORLD_SIZE": f"{nodes * each}", "LOCAL_RANK": f"{rank % each}",
            "LOCAL_WORLD_SIZE": f"{each}", "GROUP_RANK": f"{rank // each}", "GROUP_WORLD_SIZE": f"{nodes}",
            "NODE_RANK": f"{rank // each}", "MASTER_ADDR": "@{host.0}", "MASTER_PORT": "@{port.master}",
            "GLOO_SOCKET_IFNAME": "@{interface}", "NCCL_SOCKET_IFNAME": "@{interface}",
        }  # fmt: skip


def test_torch_with_other_frameworks(spec: Specs) -> None:
    for framework, count in (("tensorflow", 1), ("sklearn", 1), ("python", 0), ("pytorch", 0)):
        assert len(list(Torch().check(spec(Torch(), 1, 1, framework), Facts()))) == count


def test_every_choice_has_its_name_and_writes_itself() -> None:
    for kind, choice in CHOICES.items():
        assert plain(choice())["kind"] == kind
