"""Runs in containers on the nodes of a real cluster: as without, and nothing is left of them."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import time
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from launcher.spec import State
from launcher.store.runs import read_run
from tests.integration.conftest import HANDLES, TALKS, TELLS, until
from tests.integration.leaks import leaks
from tests.integration.slurm.images import MPI, TINY, Images, make_images, none_left
from tests.integration.slurm.lab import SlurmLab

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.cluster.machine import Cluster

NODES = ("node1", "node2")
TWO = ("distribution=torch", "nodes=2", "compute.nodelist='node[1-2]'")


ALLREDUCE = """\
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int count, char **words) {
    int rank, sum;
    char host[256];
    MPI_Init(&count, &words);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    gethostname(host, sizeof host);
    printf("rank %d on %s, sum %d\\n", rank, host, sum);
    fflush(stdout);
    if (count > 1 && rank == 3) exit(7);
    MPI_Finalize();
}
"""

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("podman", "runc", "conmon"))), reason="needs podman with runc: tests/run.sh"
)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    """Two images, made once."""
    return make_images(tmp_path_factory.mktemp("images") / "store")


class Boxed(SlurmLab):
    """Launches into containers."""

    def __init__(self, folder: Path, cluster: Cluster, images: Images) -> None:
        super().__init__(folder, cluster)
        self.images = images
        self.before = {node: self.folders(node) for node in NODES}

    def line(self, *words: str) -> list[str]:
        """See `Lab.line`."""
        image = [] if any("image=" in word for word in words) else [f"compute.container.image={TINY}"]
        script = ["script=null"] if any(word.startswith("command=") for word in words) else []
        setup = f"compute.setup=['{self.images.setup}']"
        return super().line(*words, *script, *image, setup, "compute.login_shell=false")

    def podman(self, node: str) -> list[str]:
        """Return what a podman on a node begins with."""
        return self.cluster.argv(node, ["env", *(f"{k}={v}" for k, v in self.images.env.items())])

    def log(self, rank: int) -> str:
        """Return what a rank of the first run wrote."""
        return (self.run().logs / f"worker-{rank}.log").read_text()

    def nothing_left(self) -> None:
        """Wait until no node has a container, a process or a folder of a run."""
        for node in NODES:
            none_left(self.podman(node))
            until(lambda node=node: not self.on(node, "cat <&3|conmon|podman"), f"nothing on {node}", 20)
            until(lambda node=node: self.folders(node) <= self.before[node], f"no folder on {node}", 20)

    def folders(self, node: str) -> set[str]:
        """Return what runs have on a node's disk."""
        return set(self.cluster.exec(node, ["sh", "-c", "ls -d /tmp/launcher-*"]).stdout.split())


@pytest.fixture
def lab(tmp_path: Path, cluster: Cluster, images: Images) -> Iterator[Boxed]:
    """Launches into containers on the plain cluster."""
    made = Boxed(tmp_path, cluster, images)
    yield made
    made.clean_up()


def test_a_shell_script_on_two_nodes(lab: Boxed, tmp_path: Path) -> None:
    lab.script(TELLS, "tells.sh")
    lab.script("frozen", "input.txt")
    (tmp_path / "mine").mkdir()
    mount = f"compute.container.mounts=[{tmp_path}/mine:/mine:ro]"
    done = lab.launch("command=[sh,tells.sh]", *TWO, 'env.SECRET_TEXT="a\'b $c"', mount)
    assert done.returncode == 0, done.stdout + done.stderr
    for rank, node in enumerate(NODES):
        assert lab.log(rank) == f"rank {rank} of 2 on {node}, a'b $c, uid {os.getuid()}\nfrozen"
        assert (lab.run().outputs / f"out-{rank}").read_text() == "new\n"
        assert (lab.run().outputs / f"out-{rank}").stat().st_uid == os.getuid()
    lab.nothing_left()


def test_a_secret_is_in_no_command_line(lab: Boxed) -> None:
    lab.script('printf %s "$KEY" | sha256sum\nenv | grep -c LAUNCHER_SECRET\nsleep 300\n', "tells.sh")
    lab.env["TOKEN"] = value = uuid4().hex
    lab.submit("command=[sh,tells.sh]", *TWO, "env.KEY=${secret:TOKEN}")
    expected = f"{sha256(value.encode()).hexdigest()}  -\n0\n"
    for rank in range(2):
        lab.running(lab.run(), "-\n0\n", rank=rank)
        assert lab.log(rank) == expected
    assert leaks(value, lab.store.root) == []
    assert lab.command("runs", "cancel", lab.run().id).returncode == 0
    lab.over(lab.run())
    lab.nothing_left()


def test_python_of_the_image_talks_to_the_other_node(lab: Boxed) -> None:
    lab.script(TALKS)
    done = lab.launch(*TWO, f"compute.container.image={MPI}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert lab.log(0) == "node2 /usr/bin/python3\n"
    lab.nothing_left()


def test_mpi_with_the_image_s_own(lab: Boxed) -> None:
    lab.script(ALLREDUCE, "program.c")
    subprocess.run(["mpicc", "-o", "program", "program.c"], cwd=lab.source, check=True)
    words = ("distribution=mpi", "nodes=2", "processes_per_node=2", TWO[2], "command=[./program]")
    image = f"compute.container.image={MPI}"
    done = lab.launch(*words, image)
    assert done.returncode == 0, done.stdout + done.stderr
    for rank in range(4):
        assert f"rank {rank} on {NODES[rank // 2]}, sum 6\n" in lab.log(rank)
    assert lab.launch(*words, image, "args.x=1").returncode == 1
    cause = read_run(lab.run(2)).cause
    assert cause is not None
    assert "rank 3 on node2 exited with 7" in cause.message
    lab.nothing_left()


@pytest.mark.parametrize(
    ("code", "told"),
    [("kill -9 $$", "killed by signal 9"), ("no-such", "exited with 127")],
)
def test_failures_are_told_as_without(lab: Boxed, code: str, told: str) -> None:
    lab.script(f"[ $RANK = 0 ] && sleep 300\n{code}\n", "fails.sh")
    assert lab.launch("command=[sh,fails.sh]", *TWO).returncode == 1
    run = read_run(lab.run())
    assert run.cause is not None
    assert re.search(f"rank 1 on node2 (was )?{told}", run.cause.message)
    lab.nothing_left()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["image=localhost/none:1"], r"node\d: podman could not start the container: .*localhost/none:1"),
        (["runtime=apptainer"], r"node\d has no apptainer, which compute.container.runtime=apptainer needs"),
    ],
)
def test_what_a_node_lacks_is_told(lab: Boxed, words: Sequence[str], told: str) -> None:
    assert lab.launch("command=[sh]", *TWO, *(f"compute.container.{word}" for word in words)).returncode == 1
    cause = read_run(lab.run()).cause
    assert cause is not None
    assert re.match(told, cause.message), cause.message
    lab.nothing_left()


def test_words_of_ones_own_before_every_process(lab: Boxed) -> None:
    """A wrap of `env` stands in for Apptainer and Enroot, which are not here."""
    lab.script('echo "$WRAPPED $RANK $MOUNTS"; exit $((RANK * 4))', "wrapped.sh")
    wrap = "compute.container.wrap=['env','WRAPPED=@{image}','MOUNTS=@{mounts}']"
    words = ("compute.container.runtime=enroot", "compute.container.image=some.sqsh", wrap)
    assert lab.launch("command=[sh,wrapped.sh]", *TWO, *words).returncode == 1
    assert lab.log(0).startswith(f"some.sqsh 0 {lab.run().root}:{lab.run().root},")
    cause = read_run(lab.run()).cause
    assert cause is not None
    assert "rank 1 on node2 exited with 4" in cause.message


def test_a_canceled_script_is_told_and_its_container_removed(lab: Boxed) -> None:
    lab.script(HANDLES, "handles.sh")
    lab.submit("command=[sh,handles.sh]", *TWO)
    for rank in range(2):
        lab.running(lab.run(), "up", rank=rank)
    assert lab.command("runs", "cancel", lab.run().id).returncode == 0
    assert lab.over(lab.run()).state is State.CANCELED
    assert "told" in lab.log(0)
    assert "told" in lab.log(1)
    lab.nothing_left()


def test_what_ignores_its_end_is_killed_at_the_time_limit(lab: Boxed) -> None:
    lab.script("trap '' TERM; echo up; sleep 300 & while :; do wait; sleep 1; done", "stays.sh")
    lab.submit("command=[sh,stays.sh]", *TWO, "time_limit_min=0.2")
    run = lab.over(lab.run())
    assert run.cause is not None
    assert (run.state, run.cause.kind) == (State.FAILED, "time_limit")
    assert lab.log(0).startswith("up\n")
    lab.nothing_left()


KILLS = {
    "agent": r"pkill -KILL -n -f 'agents/\S+ (job|node slurm)'",
    "agent and guard": r"pkill -KILL -f '(python\S*|launcher) .*agents/\S+ (job|node slurm)'",
    "podman": "pkill -KILL 'podman|conmon'",
    "all": r"pkill -KILL -f 'agents/\S+ (job|node|box)|conmo[n]|podma[n]'",  # but not this line
}
ROUNDS = int(os.environ.get("LAUNCHER_TEST_KILLS", len(KILLS)))


def test_killed_at_any_time_it_leaves_no_container(lab: Boxed) -> None:
    lab.script("echo up; sleep 300", "sleeps.sh")
    dice = random.Random(7)  # noqa: S311  # no secret
    killed: list[str] = []
    for number in range(1, ROUNDS + 1):
        lab.submit("command=[sh,sleeps.sh]", *TWO)
        folder = lab.run(number)
        until(lambda folder=folder: folder.attempt_state(0).exists(), "the attempt", 60)
        node, what = dice.choice(NODES), list(KILLS)[-number % len(KILLS)]
        time.sleep(dice.uniform(0, 2))
        if lab.cluster.exec(node, ["sh", "-c", KILLS[what]]).returncode == 0:
            killed.append(what)
        lab.command("runs", "cancel", folder.id)
        lab.over(folder)
        for each in NODES:
            until(lambda each=each: not lab.on(each, "cat <&3|sleeps.sh"), f"no process after {what}", 30)
    assert killed
    lab.script("true", "true.sh")
    assert lab.launch("command=[sh,true.sh]", *TWO).returncode == 0  # removes what podman still lists
    lab.nothing_left()
