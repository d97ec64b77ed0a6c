"""mpirun's lines, and Horovod without mpirun."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.distribution.horovod import Controller, Horovod
from launcher.distribution.mpi import MpiRun
from launcher.plan import GpuVisibility, MpiLine, Plan
from launcher.spec import Facts, Mpi

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.spec import RunSpec

    Specs = Callable[..., RunSpec]

OPENMPI4 = Mpi(mpirun="/usr/bin/mpirun", flavour="openmpi", version="4.1.4")
OPENMPI5 = Mpi(mpirun="/opt/mpirun", flavour="openmpi", version="5.0.11")
MPICH = Mpi(mpirun="/opt/mpirun", flavour="mpich", version="4.1")
PROGRAM = ("sh", "@{agent}/rank.sh", "@{python}", "train.py", "--rate", "0.1")


def line(specs: Specs, mpi: Mpi, nodes: int, each: int, cpus: int = 64) -> MpiLine:
    made = specs(MpiRun(), nodes, each, "python")
    plan = made.distribution.plan(made, Facts(mpi=mpi, cpus=cpus))
    assert plan == Plan(nodes=nodes, processes_per_node=each, mpi=plan.mpi)
    assert plan.mpi is not None
    assert plan.mpi.program == PROGRAM
    return plan.mpi


@pytest.mark.parametrize("mpi", [OPENMPI4, OPENMPI5])
def test_open_mpi_on_one_node(spec: Specs, mpi: Mpi) -> None:
    expected = (mpi.mpirun, "--oversubscribe", "-np", "3", "--bind-to", "none")
    assert line(spec, mpi, 1, 3).argv == expected


def test_open_mpi_4_on_several_nodes(spec: Specs) -> None:
    expected = (
        "/usr/bin/mpirun --mca plm rsh --mca plm_rsh_agent @{agent}/shim.sh --mca plm_rsh_no_tree_spawn 1"
    )
    expected += (
        " --mca btl tcp,self --mca btl_tcp_if_include 127.0.0.0/8 --mca oob_tcp_if_include 127.0.0.0/8"
    )
    expected += " -H @{node.0}:2,@{node.1}:2,@{node.2}:2 -np 6 --bind-to none"
    assert " ".join(line(spec, OPENMPI4, 3, 2).argv) == expected


@pytest.mark.parametrize(("cpus", "yields"), [(5, True), (6, False)])
def test_ranks_that_wait_yield_where_nodes_share_too_few_cpus(spec: Specs, cpus: int, yields: bool) -> None:
    text = " ".join(line(spec, OPENMPI4, 3, 2, cpus).argv)
    assert ("--mca mpi_yield_when_idle 1" in text) == yields


def test_open_mpi_5_on_several_nodes(spec: Specs) -> None:
    text = " ".join(line(spec, OPENMPI5, 2, 1).argv)
    assert (
        "--prtemca plm ssh --prtemca plm_ssh_agent @{agent}/shim.sh --prtemca plm_ssh_no_tree_spawn 1" in text
    )


def test_mpich(spec: Specs) -> None:
    assert line(spec, MPICH, 1, 4).argv == ("/opt/mpirun", "--bind-to", "none", "-n", "4")


@pytest.mark.parametrize(
    ("mpi", "nodes", "word"),
    [
        (None, 1, "apt-get install"),
        (OPENMPI5, 2, "processes_per_node=4"),
        (MPICH, 2, "mpich"),
        (OPENMPI4, 2, ""),
        (MPICH, 1, ""),
    ],
)
def test_where_mpirun_cannot_do_it(spec: Specs, mpi: Mpi | None, nodes: int, word: str) -> None:
    problems = [str(item) for item in MpiRun().check(spec(MpiRun(), nodes, 2, "python"), Facts(mpi=mpi))]
    assert len(problems) == bool(word)
    assert word in "".join(problems)


BOTH = ("mpi", "gloo")


@pytest.mark.parametrize(
    ("facts", "nodes", "uses_mpi"),
    [
        (Facts(mpi=OPENMPI4, horovod_controllers=BOTH), 2, True),
        (Facts(mpi=OPENMPI5, horovod_controllers=BOTH), 1, True),
        (Facts(mpi=OPENMPI5, horovod_controllers=BOTH), 2, False),
        (Facts(mpi=OPENMPI4, horovod_controllers=("gloo",)), 1, False),
        (Facts(mpi=None, horovod_controllers=BOTH), 1, False),
    ],
)
def test_auto_takes_mpi_where_it_works(spec: Specs, facts: Facts, nodes: int, uses_mpi: bool) -> None:
    made = spec(Horovod(), nodes)
    assert list(made.distribution.check(made, facts)) == []
    plan = made.distribution.plan(made, facts)
    assert (plan.mpi is not None) is uses_mpi
    assert bool(plan.processes) is not uses_mpi


@pytest.mark.parametrize("nodes", [1, 2, 3])
@pytest.mark.parametrize("each", [1, 2, 3])
def test_gloo_ranks(spec: Specs, nodes: int, each: int) -> None:
    made = spec(Horovod(controller=Controller.gloo), nodes, each)
    plan = made.distribution.plan(made, Facts())
    server, *ranks = plan.processes
    hosts = ",".join(f"@{{node.{node}}}:{each}" for node in range(nodes))
    expected = ("@{python}", "@{agent}/horovod_rendezvous.py", "@{port.rendezvous}", hosts, str(nodes * each))
    assert (server.name, server.argv, server.ready_port, server.rank) == (
        "rendezvous-0",
        expected,
        "rendezvous",
        -1,
    )
    assert server.gpus is GpuVisibility.NONE
    assert (plan.ends_with, plan.ports) == (("worker",), {"rendezvous": 0})
    assert [item.rank for item in ranks] == list(range(nodes * each))
    for item in ranks:
        assert dict(item.env) == {
            "HOROVOD_RANK": f"{item.rank}", "HOROVOD_SIZE": f"{nodes * each}",
            "HOROVOD_LOCAL_RANK": f"{item.rank % each}", "HOROVOD_LOCAL_SIZE": f"{each}",
            "HOROVOD_CROSS_RANK": f"{item.rank // each}", "HOROVOD_CROSS_SIZE": f"{nodes}",
            "HOROVOD_GLOO_TIMEOUT_SECONDS": "300", "HOROVOD_HOSTNAME": f"@{{node.{item.rank // each}}}",
            "HOROVOD_GLOO_RENDEZVOUS_ADDR": "@{host.0}", "HOROVOD_GLOO_RENDEZVOUS_PORT": "@{port.rendezvous}",
            "HOROVOD_GLOO_IFACE": "@{interface}", "HOROVOD_CONTROLLER": "gloo",
            "HOROVOD_CPU_OPERATIONS": "gloo",
        }  # fmt: skip
        assert (item.node, item.local_rank) == (item.rank // each, item.rank % each)


@pytest.mark.parametrize(
    ("controller", "facts", "framework", "keys"),
    [
        (Controller.mpi, Facts(horovod_controllers=BOTH), "tensorflow", ["distribution.controller"]),
        (
            Controller.mpi,
            Facts(mpi=OPENMPI4, horovod_controllers=("gloo",)),
            "tensorflow",
            ["distribution.controller"],
        ),
        (Controller.gloo, Facts(horovod_controllers=("mpi",)), "tensorflow", ["distribution.controller"]),
        (Controller.auto, Facts(), "tensorflow", ["distribution.controller"]),
        (Controller.auto, Facts(horovod_controllers=BOTH), "sklearn", ["framework"]),
        (Controller.mpi, Facts(mpi=OPENMPI4, horovod_controllers=BOTH), "pytorch", []),
    ],
)
def test_what_horovod_is_refused_for(
    spec: Specs, controller: Controller, facts: Facts, framework: str, keys: list[str]
) -> None:
    made = spec(Horovod(controller=controller), 1, 1, framework, packages=True)
    assert [problem.key for problem in made.distribution.check(made, facts)] == keys
