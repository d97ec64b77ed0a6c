"""Command lines of containers, as podman, Apptainer and Enroot take them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from launcher.agent.base import atomic_json, container_argv, process_identity
from launcher.agent.base.node_leftovers import remove_container
from launcher.agent.base.tmp import tmp_folder
from launcher.agent.containers.podman import PodmanContainer
from launcher.agent.node.node import remove_tmp
from tests.stand_ins import StandIns

AGENT = str(Path(container_argv.__file__).parents[1])
OPTIONS: dict[str, Any] = {
    "image": "registry.site/image:1", "runtime": "podman", "mounts": [], "options": [], "wrap": None,
}  # fmt: skip
MOUNTS = [["/runs/1", "/runs/1", False], ["/data", "/data", True]]


def wanted(**options: Any) -> dict[str, Any]:
    return {
        "container": {**OPTIONS, **options}, "run": "mnist/1", "name": "launcher-1a", "pidfile": "/tmp/b.pid",
        "mounts": MOUNTS, "gpus": ["2", "3"], "agent": "/agents/d/agent",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("user", "who"), [((0, 0), ["--user=0:0"]), ((1000, 100), ["--user=1000:100", "--userns=keep-id"])]
)
def test_podman_starts_one_box_a_node(user: tuple[int, int], who: list[str]) -> None:
    assert container_argv.start_argv(wanted(options=["--shm-size=8g"]), user, "{}") == [
        "podman", "run", "--detach", "--rm", "--name=launcher-1a", "--pidfile=/tmp/b.pid",
        "--label=launcher.run=mnist/1", "--label=launcher.owner={}",
        "--network=host", "--ipc=host", "--security-opt=label=disable", "--log-driver=none", *who,
        "--mount=type=bind,source=/runs/1,target=/runs/1",
        "--mount=type=bind,source=/data,target=/data,readonly",
        "--device=nvidia.com/gpu=2", "--device=nvidia.com/gpu=3", "--shm-size=8g",
        "--preserve-fds=1", "--entrypoint=sh", "registry.site/image:1",
        "-c", "trap '' HUP INT TERM USR1 USR2; cat <&3 & wait $!",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "before"),
    [
        ({}, ["podman", "exec", "--interactive", "launcher-1a"]),
        (
            {"runtime": "apptainer", "image": "image.sif"},
            ["apptainer", "exec", "--cleanenv", "--no-home", "--nv", "--bind=/runs/1:/runs/1,/data:/data:ro",
             "image.sif"],
        ),
        (
            {"runtime": "enroot", "image": "image.sqsh"},
            ["enroot", "start", "--rw", "--mount=/runs/1:/runs/1:none:x-create=auto,bind,rw",
             "--mount=/data:/data:none:x-create=auto,bind,ro", "image.sqsh"],
        ),
        (
            {"runtime": "enroot", "wrap": ["ch-run", "-b@{mount}", "@{image}", "--"]},
            ["ch-run", "-b/runs/1:/runs/1", "-b/data:/data:ro", "registry.site/image:1", "--"],
        ),
    ],
)  # fmt: skip
def test_processes_enter_by_the_runtime_s_words(options: dict[str, Any], before: list[str]) -> None:
    line = container_argv.enter_argv(wanted(**options), ["END", "LOG", "FOLDER", "python3", "a b.py"])
    assert line == [
        *before,
        "sh",
        "/agents/d/agent/containers/enter.sh",
        "END",
        "LOG",
        "FOLDER",
        "python3",
        "a b.py",
    ]


def test_no_gpus_no_flag() -> None:
    assert "--nv" not in container_argv.wrap({**OPTIONS, "runtime": "apptainer"}, gpus=False)


def test_own_mounts_win_and_none_is_there_twice(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "1"
    run.mkdir(parents=True)
    (run / "source").symlink_to("../../snapshots/d")
    options = {**OPTIONS, "mounts": ["/mine:/data", "/scratch:/scratch:ro"]}
    told = container_argv.wanted(
        options, str(run), "mnist/1", {"prefix": "/env"}, ["/data"], ["/project/data"]
    )
    assert told is not None
    snapshot = str(tmp_path / "snapshots" / "d")
    assert container_argv.distinct(told["mounts"]) == [
        ["/mine", "/data", False],
        ["/scratch", "/scratch", True],
        [str(run), str(run), False],
        [snapshot, snapshot, True],
        [told["agent"], told["agent"], True],
        ["/env", "/env", True],
        ["/project/data", "/project/data", False],
    ]
    assert container_argv.wanted({**options, "image": None}, str(run), "mnist/1", {}, [], []) is None


def test_an_environment_brings_its_interpreter(tmp_path: Path) -> None:
    for name in ("env/bin", "python-3.11.7/bin"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "python-3.11.7/bin/python3").write_text("")
    (tmp_path / "python-3.11").symlink_to("python-3.11.7")
    python, prefix = tmp_path / "env/bin/python", str(tmp_path / "env")
    python.symlink_to(tmp_path / "python-3.11/bin/python3")
    real = str(tmp_path / "python-3.11.7")
    found = container_argv.interpreter_mounts(str(python), prefix)
    assert found == [[real, real, True], [real, str(tmp_path / "python-3.11"), True]]
    python.unlink()
    python.symlink_to("/usr/bin/env")
    assert container_argv.interpreter_mounts(str(python), prefix) == []


def box(folder: Path, monkeypatch: pytest.MonkeyPatch, **environ: str) -> PodmanContainer:
    for name in ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    made = {**wanted(runtime="enroot", wrap=["env"]), "python": "", "prefix": "", "agent": AGENT}
    return PodmanContainer(made, str(folder))


@pytest.mark.parametrize(
    ("environ", "gpus"),
    [({}, ["2", "3"]), ({"SLURM_JOB_GPUS": "5,6"}, ["5", "6"]),
     ({"SLURM_JOB_GPUS": "5,6", "SLURM_STEP_GPUS": "0,7"}, ["0", "7"])],
)  # fmt: skip
def test_gpus_have_the_numbers_of_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], gpus: list[str]
) -> None:
    assert box(tmp_path, monkeypatch, **environ).gpus == gpus


@pytest.mark.parametrize(
    ("code", "outcome"),
    [("exit 0", (0, None)), ("exit 3", (3, None)), ("kill -9 $$", (None, 9)), ("kill -9 $PPID", (None, 9))],
)
def test_the_end_of_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, outcome: tuple[int | None, int | None]
) -> None:
    made = box(tmp_path, monkeypatch)
    monkeypatch.setenv("SLURM_LAUNCHER_SECRET_A", "hidden")  # what enters a container may pass all on
    text = "a'b\n$c"
    process: Any = {
        "name": "worker-0",
        "argv": ["sh", "-c", f'echo "$TEXT|$PATH" >seen; {code}'],
        "log": str(tmp_path / "log"),
        "cwd": str(tmp_path),
        "path_prefix": "/env/bin",
        "env": {"TEXT": text, "LAUNCHER_MARK": "m"},
    }
    argv, env, stdin = made.enter(
        process, {"TEXT": text, "LAUNCHER_MARK": "m", "PATH": "/host", "HOME": "/h"}
    )
    assert text not in " ".join(argv)
    assert "hidden" not in env.values()
    status = subprocess.run(argv, env=env, stdin=stdin, check=False).returncode
    os.close(stdin)
    seen = (tmp_path / "seen").read_text()
    assert seen.startswith(f"{text}|/env/bin:")
    assert "/host" not in seen
    ends = made.ended("worker-0", *((status, None) if status >= 0 else (None, -status)))
    assert ends == [("worker-0", *outcome)]


PODMAN = """\
gone='{\\"host\\": \\"'$(uname -n)'\\"}'
case $1 in
ps) echo '[{"Id": "old", "Labels": {"launcher.owner": "'"$gone"'"}}, {"Id": "other"}]' ;;
run)
    for word in "$@"; do case $word in --pidfile=*) echo $$ >"${word#*=}" ;; esac; done
    {run}
    ;;
esac
"""
START = """\
import json, sys
sys.path.insert(0, sys.argv[1])
from launcher.agent.containers.podman import take
take(json.loads(sys.argv[3]))
"""


@pytest.mark.parametrize(
    ("run", "code", "told"),
    [
        ("echo 'no such image' >&2; exit 125", 125, "podman could not start the container: no such image"),
        ("exit 0", 0, "the container ended at once"),
        ("read -r line <&3", 0, "the container has the node's processes"),
    ],
)  # fmt: skip
def test_a_box_that_does_not_start(
    tmp_path: Path, stand_ins: StandIns, run: str, code: int, told: str
) -> None:
    stand_ins.make("podman", PODMAN.replace("{run}", run))
    made = PodmanContainer({**wanted(), "python": "", "prefix": ""}, str(tmp_path / "launcher-1a"))
    assert made.missing() is None
    popen = made.start([sys.executable, "-c", START, str(Path(container_argv.__file__).parents[3])])
    problem = None
    if "read" in run:  # it runs until its pipe is closed
        until = time.monotonic() + 20
        while not (problem := made.started(0)) or "processes" not in problem:
            assert time.monotonic() < until
            time.sleep(0.02)
        assert not made.signal(signal.SIGKILL)
        made.close()
    popen.wait(20)
    assert told in (problem or made.started(code) or "")
    assert [call[-1] for call in stand_ins.calls("podman") if call[0] == "rm"] == ["old"]
    remove_container(str(tmp_path / "launcher-1a"))
    assert stand_ins.calls("podman")[-1][-2:] == ["--ignore", "launcher-1a"]


@pytest.mark.parametrize(("fails", "gone"), [(1, True), (9, False)])
def test_a_removal_that_is_ended_in_the_middle_is_tried_again(
    tmp_path: Path, stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch, fails: int, *, gone: bool
) -> None:
    """Slurm tells all processes of a job to end, and podman obeys; the record of a box that stays is kept."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    counts = tmp_path / "calls"
    stand_ins.make("podman", f"echo >>{counts}; [ $(wc -l <{counts}) -gt {fails} ] || kill -TERM $$")
    folder = Path(tmp_folder("mark"))
    folder.mkdir(mode=0o700)
    atomic_json.write(str(folder / "box.json"), {"name": folder.name, "owner": process_identity.identity()})
    remove_tmp("mark")
    assert folder.exists() is not gone
    calls = stand_ins.calls("podman")
    assert calls == [["rm", "--force", "--time", "0", "--ignore", folder.name]] * (2 if gone else 3)


def test_a_runtime_that_was_ended_before_it_began_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = box(tmp_path, monkeypatch)
    assert made.ended("worker-0", 0, None) == [("worker-0", None, 15)]
    assert made.ended("worker-1", 125, None) == [("worker-1", 125, None)]
