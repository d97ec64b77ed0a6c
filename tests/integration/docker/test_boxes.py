"""Runs in containers of a real engine: as without, and nothing is left of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from launcher.spec import State
from launcher.store.runs import read_run
from tests.engine.images import BASE, MPI
from tests.integration.conftest import TALKS, TELLS, until
from tests.integration.docker.lab import SLEEPS, TWO, Boxed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


# A Python below root's home can be started by others with this alone.
READ_ALL = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")


def test_a_shell_script_on_two_nodes(lab: Boxed, tmp_path: Path) -> None:
    command = lab.shell(TELLS)
    lab.script("frozen", "input.txt")
    (tmp_path / "mine").mkdir()
    mount = f"compute.mounts=[{tmp_path}/mine:/mine:ro]"
    done = lab.launch(command, *TWO, 'env.SECRET_TEXT="a\'b $c"', mount)
    assert done.returncode == 0, done.stdout + done.stderr
    for rank in range(2):
        assert lab.log(rank) == f"rank {rank} of 2 on node{rank}, a'b $c, uid {os.getuid()}\nfrozen"
        assert (lab.run().outputs / f"out-{rank}").read_text() == "new\n"
        assert (lab.run().outputs / f"out-{rank}").stat().st_uid == os.getuid()
    lab.nothing_left()
    environment = read_run(lab.run()).submit["environment"]
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", environment["image"])


def test_an_input_where_the_script_expects_it(lab: Boxed, tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "images").write_text("i")
    (lab.source / "data").mkdir()
    lab.script("frozen", "data/list.txt")
    given = f"{{uri: {tmp_path}/input, at: data/MNIST/raw}}"
    command = lab.shell("cat data/list.txt data/MNIST/raw/images")
    done = lab.launch(command, *TWO, f"+data.inputs.faces={given}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [lab.log(rank) for rank in range(2)] == ["frozeni"] * 2


def test_nodes_know_each_other_by_name(lab: Boxed) -> None:
    lab.script(TALKS.replace("os.environ['MASTER_ADDR']", "'node0'"))
    done = lab.launch(*TWO, f"environment.image={lab.engine.image(BASE)}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert lab.log(0) == "node1 /usr/bin/python3\n"
    nodes = read_run(lab.run()).nodes
    assert len({node["address"] for node in nodes}) == 2
    lab.nothing_left()


def test_what_a_box_is_given(lab: Boxed, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    options = ("cpus_per_process=1", "memory_gib=0.25", "compute.shm_size_gib=0.5", "tags={team: a}",
               "compute.capabilities=[SYS_PTRACE]", "compute.ulimits={core: 0}",
               f"compute.mounts=[{tmp_path}/mine:/mine]")  # fmt: skip
    lab.start(lab.shell(SLEEPS), *options)
    lab.running(lab.run(), "up")
    [box] = lab.boxes()
    host, config = box["HostConfig"], box["Config"]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (2**28, 2**28, 10**9)
    assert (host["ShmSize"], host["Init"], host["AutoRemove"]) == (2**29, True, True)
    assert "SYS_PTRACE" in " ".join(host["CapAdd"])
    assert {"Name": "core", "Soft": 0, "Hard": 0} in host["Ulimits"]
    assert config["User"] == f"{os.getuid()}:{os.getgid()}"
    assert config["Labels"]["launcher.run"] == "mnist/1"
    assert config["Hostname"] == "node0"
    mounts = {mount["Target"]: mount for mount in host["Mounts"]}
    assert mounts["/mine"]["Source"] == f"{tmp_path}/mine"
    assert mounts[str(lab.run().root)].get("ReadOnly", False) is False
    assert mounts[str(lab.run().source.resolve())]["ReadOnly"] is True
    assert lab.engine.networks() == []  # one node needs none
    lab.cancel()


def test_gpus_are_requested_and_renumbered(lab: Boxed, tmp_path: Path) -> None:
    """With the hook of the engine's nvidia runtime in a stub: there is no GPU here."""
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\nprintf '0\\n1\\n2\\n3\\n'\n")
    tool.chmod(0o755)
    lab.env["PATH"] = f"{tool.parent}:{lab.env['PATH']}"
    lab.start(
        lab.shell('echo "$NVIDIA_VISIBLE_DEVICES $CUDA_VISIBLE_DEVICES"; sleep 300'), *TWO, "gpus_per_node=2"
    )
    for rank in range(2):
        until(
            lambda rank=rank: (lab.run().logs / f"worker-{rank}.log").exists() and "\n" in lab.log(rank),
            "logs",
        )
        assert lab.log(rank).split()[-1] == "0,1"
    requests = {box["Config"]["Hostname"]: box["HostConfig"]["DeviceRequests"] for box in lab.boxes()}
    assert [requests[f"node{node}"][0]["DeviceIDs"] for node in range(2)] == [["0", "1"], ["2", "3"]]
    assert requests["node0"][0]["Capabilities"] == [["gpu"]]
    lab.cancel()


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("kill -9 $$", "signal: rank 1 on node1 was killed by signal 9"),
        ("exit 7", "exit: rank 1 on node1 exited with 7"),
        ("no-such", "exit: rank 1 on node1 exited with 127"),
    ],
)
def test_failures_are_told_as_without(lab: Boxed, code: str, told: str) -> None:
    command = lab.shell(f"echo last; [ $RANK = 0 ] && sleep 300\n{code}\n")
    assert lab.launch(command, *TWO).returncode == 1
    assert lab.cause(lab.run()) == f"Failed {told}"
    cause = read_run(lab.run()).cause
    assert cause is not None
    assert cause.last_lines[0] == "last"
    lab.nothing_left()


def test_memory_that_is_used_up(lab: Boxed) -> None:
    lab.script(GREEDY)
    done = lab.launch("memory_gib=0.0625", f"environment.image={lab.engine.image(BASE)}")
    assert done.returncode == 1
    assert lab.cause(lab.run()).startswith("Failed out_of_memory: worker on node0 was killed by signal 9")
    lab.nothing_left()


GREEDY = "x = b''\nwhile True: x += bytes(2**22)\n"


@pytest.mark.parametrize("words", [TWO, ("distribution=mpi", "nodes=2")])
def test_a_rank_that_uses_up_its_memory(lab: Boxed, words: Sequence[str]) -> None:
    """Also where mpirun on another node is what ends."""
    lab.script(
        "import os, time\n"
        "if (os.environ.get('RANK') or os.environ.get('OMPI_COMM_WORLD_RANK')) == '0': time.sleep(300)\n"
        + GREEDY
    )
    done = lab.launch(*words, "memory_gib=0.125", f"environment.image={lab.engine.image(MPI)}")
    assert done.returncode == 1
    assert lab.cause(lab.run()).startswith("Failed out_of_memory: rank 1 on node1 was killed by signal 9")
    lab.nothing_left()


def test_memory_that_a_part_of_a_script_uses_up(lab: Boxed) -> None:
    """What goes on without the process that was killed is told of it, and so is who fails for it later."""
    lab.script(GREEDY, "greedy.py")
    lab.script(
        "import os, subprocess, sys\n"
        "print(subprocess.run([sys.executable, 'greedy.py']).returncode)\n"
        "sys.exit(int(os.environ['CODE']))\n"
    )
    words = ("memory_gib=0.0625", f"environment.image={lab.engine.image(BASE)}")
    done = lab.launch(*words, "env.CODE=0")
    assert done.returncode == 0, done.stderr
    told = "launcher: the kernel killed a process of this run on node0 for its memory: see memory_gib\n"
    assert lab.log() == f"-9\n{told}"
    assert lab.launch(*words, "env.CODE=1").returncode == 1
    told = "exited with 1; before, the kernel killed a process on node0 for its memory"
    assert lab.cause(lab.run(2)) == f"Failed exit: worker on node0 {told}"
    lab.nothing_left()


def test_a_container_that_is_killed_from_outside(lab: Boxed) -> None:
    lab.start(lab.shell(SLEEPS), *TWO)
    for rank in range(2):
        lab.running(lab.run(), "up", rank=rank)
    [second] = [box["Id"] for box in lab.boxes() if box["Config"]["Hostname"] == "node1"]
    api: Any = lab.engine.client().api
    api.kill(second)
    assert lab.over(lab.run()).state is State.FAILED
    assert "container_lost" in lab.cause(lab.run())
    assert "the container of node1 ended: it was killed by signal 9" in lab.cause(lab.run())
    lab.nothing_left()


def test_an_image_without_a_shell(lab: Boxed) -> None:
    client: Any = lab.engine.client()
    client.api.import_image_from_data(b"\0" * 10240, repository="launcher-test/empty", tag="1")
    assert lab.launch(lab.shell("true"), "environment.image=launcher-test/empty:1").returncode == 1
    assert "Is there a sh in it?" in lab.cause(lab.run())
    lab.nothing_left()


def test_a_missing_program_and_a_missing_image(lab: Boxed) -> None:
    lab.script("print()")
    assert lab.launch().returncode == 1  # busybox has no Python
    assert "exited with 127" in lab.cause(lab.run())
    assert "python3: no such program in the container" in lab.log()
    assert lab.launch("environment.image=launcher-test/none:1", "compute.pull=never").returncode == 1
    assert "compute.pull=never" in lab.cause(lab.run(2))
    assert lab.launch("environment.image=127.0.0.1:9/none:1").returncode == 1
    assert "cannot be pulled" in lab.cause(lab.run(3))
    lab.nothing_left()


def test_mpi_with_the_image_s_own(lab: Boxed) -> None:
    lab.script(
        "import os\n"
        "print(os.environ['OMPI_COMM_WORLD_RANK'], os.environ['OMPI_COMM_WORLD_SIZE'], os.uname().nodename)\n"
    )
    words = (
        "distribution=mpi",
        "nodes=2",
        "processes_per_node=2",
        f"environment.image={lab.engine.image(MPI)}",
    )
    done = lab.launch(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    for rank in range(4):
        assert lab.log(rank) == f"{rank} 4 node{rank // 2}\n"
    lab.script(
        "import os, sys, time\nif os.environ['OMPI_COMM_WORLD_RANK'] == '3': sys.exit(7)\ntime.sleep(300)\n"
    )
    assert lab.launch(*words).returncode == 1
    assert "rank 3 on node1 exited with 7" in lab.cause(lab.run(2))
    lab.nothing_left()


ROLES = """\
import json, os, time
from pathlib import Path
cluster = json.loads(os.environ.get("TF_CONFIG", "{}"))
told = {
    "role": os.environ["LAUNCHER_ROLE"],
    "index": int(os.environ["LAUNCHER_INDEX"]),
    "host": os.uname().nodename,
    "cluster": cluster.get("cluster"),
    "master": os.environ.get("MASTER_ADDR"),
}
draft = Path(f"outputs/.{told['role']}-{told['index']}")
draft.write_text(json.dumps(told))
draft.rename(f"outputs/{told['role']}-{told['index']}.json")
while len(list(Path("outputs").glob("*.json"))) < int(os.environ["ALL"]):
    time.sleep(0.05)
"""


@pytest.mark.parametrize(
    ("words", "roles"),
    [
        (["distribution=single"], {"worker": 1}),
        (["distribution=torch", "nodes=2", "processes_per_node=2"], {"worker": 4}),
        (["distribution=multi_worker", "nodes=2", "framework=tensorflow"], {"worker": 2}),
        (
            ["distribution=parameter_server", "nodes=2", "framework=tensorflow",
             "distribution.parameter_server_count=2", "distribution.chief=extra"],
            {"worker": 2, "ps": 2, "chief": 1},
        ),
        (["distribution=mpi", "nodes=2"], {"worker": 2}),
    ],
)  # fmt: skip
def test_every_distribution(lab: Boxed, words: Sequence[str], roles: dict[str, int]) -> None:
    """Their processes see the addresses of containers; what they do with them the training tests show."""
    lab.script(ROLES)
    image = lab.engine.image(MPI if "distribution=mpi" in words else BASE)
    done = lab.launch(*words, f"environment.image={image}", f"env.ALL={sum(roles.values())}")
    assert done.returncode == 0, done.stderr
    told = [json.loads(path.read_text()) for path in sorted(lab.run().outputs.glob("*.json"))]
    assert {role: sum(one["role"] == role for one in told) for role in roles} == roles
    addresses = {node["name"]: node["address"] for node in read_run(lab.run()).nodes}
    assert {one["host"] for one in told} == set(addresses)
    for one in told:
        if one["cluster"]:
            places = [place for group in one["cluster"].values() for place in group]
            assert {place.partition(":")[0] for place in places} == set(addresses.values())
        assert one["master"] in {None, addresses["node0"]}
    lab.nothing_left()


WHO = "import getpass, os, pwd; print(getpass.getuser(), pwd.getpwuid(os.getuid()).pw_name)\n"


def test_another_user_owns_what_is_written(lab: Boxed, tmp_path: Path) -> None:
    """Containers run as who submits; a user whom the image does not know has a home all the same."""
    given = lab.engine.image(BASE)
    lab.script(WHO, "who.py")
    lab.shell(
        'echo "$(id -u):$(id -g) $HOME"; touch $HOME/mine outputs/made; cat /private/text\n'
        "python3 who.py; env -u USER -u LOGNAME python3 who.py; head -1 /etc/passwd\n"
    )
    private = tmp_path / "private"
    private.mkdir(0o750)
    (private / "text").write_text("for the group\n")
    (tmp_path / "tmp").mkdir()
    uid, gid = 54321, 12345
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.chown(path, uid, gid)
    for folder in tmp_path.parents:
        if "pytest" in str(folder):
            folder.chmod(folder.stat().st_mode | 0o055)
    (lab.engine.layout.root / "docker.sock").chmod(0o666)
    lab.env = {name: value for name, value in lab.env.items() if not name.startswith("COVERAGE")}
    lab.env |= {"HOME": str(tmp_path), "USER": "nobody-here", "TMPDIR": str(tmp_path / "tmp")}
    os.chown(private, 0, 23456)
    mount = f"compute.mounts=[{private}:/private]"
    line = lab.line("command=[sh,script.sh]", "script=null", f"environment.image={given}", mount)
    as_user = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--groups=23456,12345", *READ_ALL]
    done = subprocess.run(
        [*as_user, *line], cwd=tmp_path, env=lab.env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    first, *more = lab.log().splitlines()
    assert first.startswith(f"{uid}:{gid} {tmp_path}/tmp/launcher-")
    assert more == [
        "for the group",
        "user54321 user54321",
        "user54321 user54321",
        "root:x:0:0:root:/root:/bin/bash",
    ]
    made = (lab.run().outputs / "made").stat()
    assert (made.st_uid, made.st_gid) == (uid, gid)
    lab.nothing_left()
