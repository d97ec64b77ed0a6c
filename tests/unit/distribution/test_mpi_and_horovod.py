"""mpirun's lines, and Horovod without mpirun."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from launcher.compute.local import Local
from launcher.compute.slurm.target import Slurm
from launcher.distribution.horovod import Controller, Horovod
from launcher.distribution.mpi import MpiRun, Start
from launcher.facts import Cluster, Facts, Mpi
from launcher.plan import GpuVisibility, MpiLine, Plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.spec import RunSpec

    Specs = Callable[..., RunSpec]

OPENMPI4 = Mpi(mpirun="/usr/bin/mpirun", flavour="openmpi", version="4.1.4")
OPENMPI5 = Mpi(mpirun="/opt/mpirun", flavour="openmpi", version="5.0.11")
MPICH = Mpi(mpirun="/opt/mpirun", flavour="mpich", version="4.1")
BOTH = ("mpi", "gloo")
SHELL = "@{agent}/mpi/remote_shell.sh"
PROGRAM = ("sh", "@{agent}/mpi/rank.sh", "@{python}", "train.py", "--rate", "0.1")


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
    expected = f"/usr/bin/mpirun --mca plm rsh --mca plm_rsh_agent {SHELL} --mca plm_rsh_no_tree_spawn 1"
    expected += " --oversubscribe -H @{node.0}:2,@{node.1}:2,@{node.2}:2 -np 6 --bind-to none"
    mpi = line(spec, OPENMPI4, 3, 2)
    assert " ".join(mpi.argv) == expected
    assert mpi.env == {
        "OMPI_MCA_pml": "ob1",
        "OMPI_MCA_btl": "tcp,self",
        "OMPI_MCA_btl_tcp_if_include": "127.0.0.0/8",
        "OMPI_MCA_oob_tcp_if_include": "127.0.0.0/8",
        "OMPI_MCA_osc": "^monitoring",
        "OMPI_MCA_opal_common_ucx_tls": "any",
        "OMPI_MCA_opal_common_ucx_devices": "any",
    }


def test_what_a_user_gives_open_mpi_wins(spec: Specs) -> None:
    own = {"OMPI_MCA_btl": "vader,self"}
    made = spec(MpiRun(mpi_args=["--nooversubscribe"]), 2, 1, "python", env=own)
    plan = made.distribution.plan(made, Facts(mpi=OPENMPI4, cpus=64))
    assert plan.mpi is not None
    assert "--oversubscribe" not in plan.mpi.argv
    assert "OMPI_MCA_btl" not in plan.mpi.env
    assert plan.mpi.env["OMPI_MCA_pml"] == "ob1"


@pytest.mark.parametrize(("cpus", "yields"), [(5, True), (6, False)])
def test_ranks_that_wait_yield_where_nodes_share_too_few_cpus(spec: Specs, cpus: int, yields: bool) -> None:
    env = line(spec, OPENMPI4, 3, 2, cpus).env
    assert env.get("OMPI_MCA_mpi_yield_when_idle") == ("1" if yields else None)


def test_open_mpi_5_on_several_nodes(spec: Specs) -> None:
    text = " ".join(line(spec, OPENMPI5, 2, 1).argv)
    assert f"--prtemca plm ssh --prtemca plm_ssh_agent {SHELL} --prtemca plm_ssh_no_tree_spawn 1" in text


SLURM = Slurm(ports="21000-21999")


def slurm_line(specs: Specs, distribution: MpiRun, mpi: Mpi | None, **fields: Any) -> MpiLine:
    made = specs(distribution, 2, 3, "python", compute=SLURM, **fields)
    facts = Facts(mpi=mpi, cluster=Cluster(partitions={}, default_partition=None, max_array=1, pmi=("pmix",)))
    assert list(made.distribution.check(made, facts)) == []
    plan = made.distribution.plan(made, facts)
    assert plan.mpi is not None
    assert plan.mpi.program == PROGRAM
    return plan.mpi


def test_open_mpi_on_the_nodes_of_a_cluster_keeps_to_its_network_and_ports(spec: Specs) -> None:
    expected = f"/usr/bin/mpirun --mca plm rsh --mca plm_rsh_agent {SHELL} --mca plm_rsh_no_tree_spawn 1"
    expected += " --mca btl_tcp_if_include @{subnet} --mca oob_tcp_if_include @{subnet}"
    expected += " --mca btl_tcp_port_min_v4 21000 --mca btl_tcp_port_range_v4 999"
    expected += " --mca oob_tcp_dynamic_ipv4_ports @{few_ports}"
    expected += " -H @{node.0}:3,@{node.1}:3 -np 6 --bind-to none"
    assert " ".join(slurm_line(spec, MpiRun(), OPENMPI4).argv) == expected
    newer = " ".join(slurm_line(spec, MpiRun(), OPENMPI5).argv)
    assert "--prtemca prte_if_include @{subnet}" in newer
    assert "--prtemca oob_tcp_dynamic_ipv4_ports @{few_ports}" in newer


@pytest.mark.parametrize("flavour", ["mpich", "intel"])
def test_hydras_on_the_nodes_of_a_cluster(spec: Specs, flavour: str) -> None:
    mpi = Mpi(mpirun="@{prefix}/bin/mpirun", flavour=flavour, version="5")
    made = slurm_line(spec, MpiRun(), mpi, env={"UCX_NET_DEVICES": "mlx5_0:1"})
    expected = "@{prefix}/bin/mpirun -launcher ssh -launcher-exec @{agent}/mpi/remote_shell.sh"
    expected += " -genvnone -iface @{interface}"
    expected += " -hosts @{node.0},@{node.1} -ppn 3 -n 6"
    assert " ".join(made.argv) == expected + (" -bind-to none" if flavour == "mpich" else "")
    assert made.env["LAUNCHER_SHIM_WAITS"] == "yes"
    assert made.env["MPIEXEC_PORT_RANGE"] == made.env["I_MPI_PORT_RANGE"] == "21000:21999"
    assert made.env["FI_TCP_IFACE"] == "@{interface}"
    assert "UCX_NET_DEVICES" not in made.env, "the user's word counts"
    assert (made.env.get("I_MPI_PIN") == "off") == (flavour == "intel")
    pinned = slurm_line(spec, MpiRun(mpi_args=["-print-rank-map"]), mpi)
    assert pinned.argv[-1] == "-print-rank-map"
    assert pinned.env["UCX_NET_DEVICES"] == "@{devices}"
    assert "I_MPI_PIN" not in pinned.env


@pytest.mark.parametrize("mpi", [OPENMPI4, None])
def test_srun_starts_the_ranks(spec: Specs, mpi: Mpi | None) -> None:
    expected = "srun --mpi=pmix --overlap --nodes=2 --ntasks=6 --ntasks-per-node=3 --distribution=block"
    expected += " --export=ALL --input=none --mem=0 --kill-on-bad-exit=1"
    given = MpiRun(start=Start.srun)
    assert " ".join(slurm_line(spec, given, mpi).argv) == expected + " --cpu-bind=none"
    assert slurm_line(spec, given, mpi).env == {
        "OMPI_MCA_btl_tcp_if_include": "@{subnet}",
        "OMPI_MCA_btl_tcp_port_min_v4": "21000",
        "OMPI_MCA_btl_tcp_port_range_v4": "999",
        "SLURM_PMIX_FENCE": "ring",
    }
    own = slurm_line(spec, given, mpi, env={"SLURM_PMIX_FENCE": "tree"}).env
    assert "SLURM_PMIX_FENCE" not in own, "the user's word counts"
    bound = slurm_line(spec, MpiRun(start=Start.srun, mpi_args=["--cpu-bind=cores"]), mpi, cpus=2)
    assert " ".join(bound.argv) == expected + " --cpus-per-task=2 --cpu-bind=cores"


@pytest.mark.parametrize(
    ("compute", "mpi", "pmi", "word"),
    [
        (Local(), OPENMPI4, (), "compute=slurm"),
        (SLURM, MPICH, ("none", "pmix"), "pmi2"),
        (SLURM, OPENMPI4, ("none", "pmi2"), "pmix"),
        (SLURM, Mpi(mpirun="/opt/mpirun", flavour="intel", version="2021"), ("pmi2",), "intel"),
        (SLURM, OPENMPI4, (), ""),
        (SLURM, MPICH, ("pmi2",), ""),
    ],
)
def test_where_srun_cannot_start_the_ranks(
    spec: Specs, compute: Local | Slurm, mpi: Mpi, pmi: tuple[str, ...], word: str
) -> None:
    cluster = Cluster(partitions={}, default_partition=None, max_array=1, pmi=pmi)
    facts = Facts(mpi=mpi, cluster=cluster, horovod_controllers=BOTH)
    for distribution in (MpiRun(start=Start.srun), Horovod(start=Start.srun)):
        made = spec(distribution, 2, 2, "tensorflow", compute=compute)
        problems = list(made.distribution.check(made, facts))
        assert [problem.key for problem in problems] == ["distribution.start"] * bool(word)
        assert word in "".join(map(str, problems))


def test_horovods_ranks_of_gloo_are_not_started_by_srun(spec: Specs) -> None:
    made = spec(Horovod(start=Start.srun, controller=Controller.gloo), 2, compute=SLURM)
    [problem] = made.distribution.check(made, Facts(mpi=OPENMPI4, horovod_controllers=BOTH))
    assert problem.key == "distribution.start"
    over_mpi = spec(Horovod(start=Start.srun), 2, compute=SLURM)
    plan = over_mpi.distribution.plan(over_mpi, Facts(mpi=OPENMPI4, horovod_controllers=BOTH))
    assert plan.mpi is not None
    assert plan.mpi.argv[0] == "srun"


def test_mpich(spec: Specs) -> None:
    assert line(spec, MPICH, 1, 4).argv == ("/opt/mpirun", "-n", "4", "-bind-to", "none")


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
    address = ("@{host.0}", "@{port.rendezvous}")
    expected = ("@{python}", "@{agent}/mpi/horovod_rendezvous.py", *address, hosts, str(nodes * each))
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
