"""The Slurm clusters of the tests are what the tests of Slurm take them for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cluster.layout import DEFAULT_ROOT, SLURMD_PORT
from tests.cluster.machine import attach
from tests.processes import Processes, wait_for
from tests.sessions import claimed_root

if TYPE_CHECKING:
    from tests.cluster.machine import Cluster

REPOSITORY = Path(__file__).parents[2]
FOUR = ["node1", "node2", "node3", "node4"]

CONNECT = """\
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3])).close()
except OSError as error:
    print(type(error).__name__)
else:
    print("connected")
"""


def ask(cluster: Cluster, *argv: str) -> str:
    """Return what a client of the cluster prints."""
    done = subprocess.run(
        argv, env=cluster.env, cwd=cluster.shared, capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr
    return done.stdout.strip()


def field(cluster: Cluster, job: str, name: str) -> str:
    """Return one field of `scontrol show job`."""
    words = ask(cluster, "scontrol", "show", "job", job).split()
    return next(word.partition("=")[2] for word in words if word.startswith(f"{name}="))


def connect(cluster: Cluster, node: str, host: str, port: int, limit_s: float = 0.7) -> str:
    """Return what happens to a connection that a node opens."""
    return cluster.exec(node, [sys.executable, "-c", CONNECT, host, str(port), str(limit_s)]).stdout.strip()


def alive(pid: int) -> bool:
    """Return whether a process runs; one that only waits to be reaped has no command line."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def test_nodes_are_machines_of_their_own(cluster: Cluster) -> None:
    show = (
        'echo "$(hostname) $(hostname -I) $CUDA_VISIBLE_DEVICES $(touch /tmp/of-$(hostname); echo /tmp/of-*)"'
    )
    rows = sorted(ask(cluster, "srun", "-N4", "--gpus-per-node=2", "sh", "-c", show).splitlines())
    assert [row.split()[0] for row in rows] == FOUR
    assert len({row.split()[1] for row in rows}) == 4
    assert [row.split()[2:] for row in rows] == [["0,1", f"/tmp/of-{node}"] for node in FOUR]
    assert cluster.exec("node1", ["sh", "-c", "echo x >/tmp/own; echo y >/dev/shm/own"]).returncode == 0
    assert cluster.exec("node2", ["ls", "/tmp/own", "/dev/shm/own"]).returncode == 2
    assert ask(cluster, "srun", "-N1", "--gpus-per-node=1", "printenv", "CUDA_VISIBLE_DEVICES") == "0"


def test_folders_that_nodes_share(cluster: Cluster, tmp_path: Path) -> None:
    for folder in (cluster.shared, tmp_path):
        assert cluster.exec("node3", ["sh", "-c", f"hostname >{folder}/who"]).returncode == 0
        assert (folder / "who").read_text() == "node3\n"
        assert cluster.exec("node4", ["cat", f"{folder}/who"]).stdout == "node3\n"


def test_limits_are_refused_when_a_job_is_submitted(cluster: Cluster) -> None:
    for words in (["-N5"], ["--partition=short", "-N3"], ["--partition=short", "-t9"], ["--array=0-301"]):
        done = subprocess.run(
            ["sbatch", *words, "--wrap=true"], env=cluster.env, capture_output=True, check=False
        )
        assert done.returncode, words


def test_accounting_answers(cluster: Cluster) -> None:
    job = ask(cluster, "sbatch", "--parsable", "--comment=ours", "--output=/dev/null", "--wrap=exit 3")
    query = ["sacct", "-nXP", "-j", job, "-o", "State,ExitCode,Comment"]
    wait_for(lambda: ask(cluster, *query) == "FAILED|3:0|ours", "sacct tells the end and the comment")


def test_daemons_of_the_head_come_back(cluster: Cluster) -> None:
    cluster.kill_daemon("slurmctld")
    ping = ["scontrol", "ping"]
    assert "DOWN" in subprocess.run(ping, env=cluster.env, capture_output=True, text=True, check=False).stdout
    cluster.start_daemon("slurmctld")
    assert "UP" in ask(cluster, *ping)
    cluster.kill_daemon("slurmdbd")
    assert subprocess.run(["sacct"], env=cluster.env, capture_output=True, check=False).returncode
    job = ask(cluster, "sbatch", "--parsable", "--output=/dev/null", "--wrap=true")
    cluster.start_daemon("slurmdbd")
    # slurmctld saves its state every 5 s: after a kill it may take jobs that have ended for running ones.
    query = ["sacct", "-nXP", "-j", job, "-o", "State"]
    wait_for(lambda: ask(cluster, *query) == "COMPLETED", "sacct knows what ran without it")


@pytest.mark.slow
def test_pulled_plug(cluster: Cluster) -> None:
    batch = ["sbatch", "--parsable", "--output=/dev/null", "--wrap=sleep 300"]
    lost = ask(cluster, *batch, "--nodelist=node4", "--no-requeue")
    again = ask(cluster, *batch, "--nodelist=node4", "--requeue")
    wait_for(
        lambda: {field(cluster, job, "JobState") for job in (lost, again)} == {"RUNNING"}, "two jobs run"
    )
    cluster.stop("node4")
    assert connect(cluster, "node3", "node4", SLURMD_PORT) == "TimeoutError"
    with pytest.raises(RuntimeError, match="node4 is off"):
        cluster.exec("node4", ["true"])
    # SlurmdTimeout is 15 s, and it is looked at every so often.
    wait_for(lambda: field(cluster, lost, "JobState") == "NODE_FAIL", "NODE_FAIL", limit_s=60)
    wait_for(lambda: field(cluster, again, "Restarts") == "1", "the other job is queued again")
    cluster.start("node4")
    assert connect(cluster, "node3", "node4", SLURMD_PORT, 10) == "connected"
    ask(cluster, "scancel", again)
    assert ask(cluster, "srun", "--nodelist=node4", "hostname") == "node4"


def test_up_clears_what_a_killed_cluster_left(cluster: Cluster) -> None:
    with claimed_root(DEFAULT_ROOT) as root:
        line = [sys.executable, "-m", "tests.cluster", "--state", str(root)]

        def command(*words: str) -> str:
            done = subprocess.run(
                [*line, *words], cwd=REPOSITORY, capture_output=True, text=True, check=False
            )
            assert not done.returncode, done.stderr
            return done.stdout

        command("up", "--nodes", "1")
        assert f"export SLURM_CONF={root}/slurm.conf" in command("env")
        first = attach(root)
        assert first.layout.slot != cluster.layout.slot
        processes = Processes(root / "pids", root / "log")
        for pid in filter(None, map(processes.pid, processes.names())):
            os.kill(pid, signal.SIGKILL)
        command("up", "--nodes", "1")
        assert command("exec", "node1", "hostname") == "node1\n"
        assert attach(root).idle() == ("node1",)
        command("stop", "node1")
        command("start", "node1")
        running = [pid for pid in map(processes.pid, processes.names()) if pid]
        command("down")
        assert not [pid for pid in running if alive(pid)]
        assert sorted(ask(cluster, "srun", "-N4", "hostname").split()) == FOUR


def test_jobs_are_held_to_memory_and_gpus(cgroup_cluster: Cluster) -> None:
    script = cgroup_cluster.shared / "greedy.sh"
    gpu = cgroup_cluster.layout.root / "dev" / "gpu"
    opening = "import os, sys; os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK)"
    script.write_text(
        f"#!/bin/sh\n"
        f"python3 -c '{opening}' {gpu}1 && exit 4\n"
        f"exec python3 -c 'x = bytearray(300 * 1024 * 1024); import time; time.sleep(1)'\n"
    )
    words = ["--mem=50", "--gres=gpu:1", "--output=greedy.out"]
    job = ask(cgroup_cluster, "sbatch", "--parsable", *words, str(script))
    wait_for(lambda: field(cgroup_cluster, job, "JobState") == "OUT_OF_MEMORY", "OUT_OF_MEMORY")
    assert "Operation not permitted" in (cgroup_cluster.shared / "greedy.out").read_text()


def test_hostile_node_believes_what_it_has_seen(hostile_cluster: Cluster) -> None:
    late = hostile_cluster.shared / "late"
    assert hostile_cluster.exec("node1", ["ls", str(late)]).returncode
    late.write_text("here\n")
    time.sleep(1)
    assert hostile_cluster.exec("node1", ["ls", str(late)]).returncode, (
        "the head has made it: node1 cannot know"
    )
    assert hostile_cluster.exec("node2", ["cat", str(late)]).stdout == "here\n"
    assert (
        "fuse" in hostile_cluster.exec("node1", ["grep", str(hostile_cluster.shared), "/proc/mounts"]).stdout
    )


def test_hostile_interfaces_and_names(hostile_cluster: Cluster) -> None:
    addresses = ask(hostile_cluster, "srun", "-N1", "-w", "node2", "hostname", "-I").split()
    layout = hostile_cluster.layout
    assert addresses == [layout.dead_address("node2"), layout.address("node2")]
    own = hostile_cluster.exec("node2", ["getent", "ahostsv4", "node2"]).stdout.split()
    assert own[0] == "127.0.1.1"
    other = hostile_cluster.exec("node2", ["getent", "ahostsv4", "node1"]).stdout.split()
    assert other[0] == layout.address("node1")
    assert connect(hostile_cluster, "node1", layout.dead_address("node2"), 25000) == "TimeoutError"


def test_hostile_firewall(hostile_cluster: Cluster) -> None:
    assert connect(hostile_cluster, "node1", "node2", 2222) == "TimeoutError"
    assert connect(hostile_cluster, "node1", "node2", 25000) == "ConnectionRefusedError"
    assert connect(hostile_cluster, "node1", "node1", 2222) == "ConnectionRefusedError"
    head = [sys.executable, "-c", CONNECT, hostile_cluster.layout.address("node2"), "2222", "0.7"]
    assert ask(hostile_cluster, *head) == "TimeoutError"
    assert hostile_cluster.exec(
        "node3", ["cat", "/proc/sys/net/ipv4/ip_local_port_range"]
    ).stdout.split() == [
        "26000",
        "32000",
    ]


def test_hostile_cluster_runs_jobs(hostile_cluster: Cluster) -> None:
    assert sorted(ask(hostile_cluster, "srun", "-N4", "hostname").split()) == FOUR
    inner = ask(hostile_cluster, "salloc", "-N4", "srun", "-N4", "hostname")
    assert sorted(inner.split()) == FOUR
    (hostile_cluster.shared / "steps.sh").write_text("#!/bin/sh\nsrun hostname\n")
    job = ask(hostile_cluster, "sbatch", "--parsable", "--wait", "-N4", "--output=steps.out", "steps.sh")
    wait_for(lambda: field(hostile_cluster, job, "JobState") == "COMPLETED", "a batch job's step ends")
    assert sorted((hostile_cluster.shared / "steps.out").read_text().split()) == FOUR
