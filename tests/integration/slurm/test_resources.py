"""Runs that meet the end of a resource, and attempts that are cut off: what is told is true."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launcher.paths import StoreFolder
from launcher.spec import State
from launcher.store.runs import read_run
from tests.integration.conftest import Lab, until
from tests.integration.slurm.lab import SlurmLab

if TYPE_CHECKING:
    from collections.abc import Generator

HOG = "open('/proc/self/oom_score_adj', 'w').write('1000'); print(len(b'x' * (400 << 20)))"
LITTLE = ("memory_gib=0.1", "compute.nodelist=node1")
SLEEPS = """
import os, time
print("up", flush=True)
time.sleep(300 if os.environ["LAUNCHER_ATTEMPT"] == "0" else 0)
"""
KILLS_ALL = f"""
import os, signal, subprocess, sys
subprocess.run([sys.executable, "-c", {HOG!r}], check=False)
agent = os.getppid()
guard = int(open(f"/proc/{{agent}}/stat").read().rpartition(")")[2].split()[1])
for pid in (guard, agent):
    os.kill(pid, signal.SIGKILL)
"""


HELD = pytest.mark.parametrize("lab", ["cgroup_cluster", "hostile_cgroup_cluster"], indirect=True)


@HELD
def test_a_process_that_the_kernel_kills_for_memory(lab: SlurmLab) -> None:
    lab.script(HOG)
    done = lab.launch(*LITTLE)
    assert done.returncode == 1
    cause = read_run(lab.run()).cause
    assert cause is not None
    assert (cause.kind, cause.signal) == ("out_of_memory", signal.SIGKILL)
    assert "more memory than it was given" in cause.message


@HELD
def test_a_job_that_slurm_ends_for_memory(lab: SlurmLab) -> None:
    lab.script(KILLS_ALL)
    lab.submit(*LITTLE)
    run = lab.over(lab.run(), 60)
    assert run.state is State.FAILED
    assert run.cause is not None
    assert run.cause.kind == "out_of_memory", run.cause


@contextmanager
def small(folder: Path, options: str) -> Generator[Path]:
    """Mount a small file system."""
    if os.getuid() != 0:
        pytest.skip("only root may mount")
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def here(tmp_path: Path) -> Generator[Lab]:
    """Launches on this machine."""
    made = Lab(tmp_path)
    yield made
    made.clean_up()


def fill(folder: Path, *, inodes: bool) -> list[Path]:
    """Take all that is left; return what did."""
    taken: list[Path] = []
    try:
        for number in range(100_000):
            taken.append(folder / f"fill-{number}")
            with taken[-1].open("wb", buffering=0) as file:
                while not inodes:
                    file.write(b"x" * 4096)
    except OSError:
        return [path for path in taken if path.exists()]
    raise AssertionError(folder)


@pytest.mark.parametrize("inodes", [False, True])
def test_a_launch_into_a_full_store_is_refused(here: Lab, tmp_path: Path, *, inodes: bool) -> None:
    here.script("pass")
    with small(tmp_path / "small", "size=2m,nr_inodes=200") as folder:
        here.store = StoreFolder(folder / "store")
        here.env["LAUNCHER_STORE"] = str(here.store.root)
        fill(folder, inodes=inodes)
        done = here.launch()
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        assert "the store's disk is full" in done.stderr
        assert not [number for number in here.store.numbers("mnist") if here.run(number).submit.exists()]


@pytest.mark.parametrize("inodes", [False, True])
def test_a_store_that_fills_up_during_the_run(here: Lab, tmp_path: Path, *, inodes: bool) -> None:
    go, other = tmp_path / "go", tmp_path / "other"
    here.script(
        f"import os, time, sys\nfrom pathlib import Path\nprint('up', flush=True)\n"
        f"while not Path({str(go)!r}).exists(): time.sleep(0.05)\n"
        "if os.environ['X'] == '2': time.sleep(3)\n"
        f"Path({str(other)!r} + os.environ['X']).touch()\n"
        "if os.environ['X'] == '1': open('outputs/large', 'wb').write(b'x' * 65536)\n"
    )
    with small(tmp_path / "small", "size=3m,nr_inodes=400") as folder:
        here.store = StoreFolder(folder / "store")
        here.env["LAUNCHER_STORE"] = str(here.store.root)
        process = here.start("-m", "env.X=1,2,3", "compute.max_parallel=2")
        for number in (1, 2):
            here.running(here.run(number), "up")
        taken = fill(folder, inodes=inodes)
        go.touch()
        process.communicate(timeout=60)
        assert process.returncode == 1
        assert Path(f"{other}2").exists()  # the second went on
        assert not Path(f"{other}3").exists()  # and the third could not begin
        for _ in ("full", "no longer"):
            runs = [read_run(here.run(number)) for number in (1, 2, 3)]
            assert [run.state for run in runs] == [State.FAILED, runs[1].state, State.FAILED]
            assert runs[1].state.terminal
            for run in runs:
                if run.cause is not None:  # what could not be written is not known
                    assert run.cause.kind in {"exit", "start", "supervisor_lost"}, run.cause
            for path in taken:
                path.unlink(missing_ok=True)


BYTES = "with open('outputs/big', 'wb') as file:\n    file.write(bytes(1 << 22))"
INODES = "for number in range(10000):\n    open(f'outputs/{number}', 'x').close()"


@pytest.mark.parametrize(("options", "script"), [("size=2m", BYTES), ("size=32m,nr_inodes=300", INODES)])
def test_a_store_that_fills_up_under_a_job(lab: SlurmLab, tmp_path: Path, options: str, script: str) -> None:
    """The node sees the small file system as this host does, since it is started after the mount."""
    cluster = lab.cluster
    with small(cluster.shared / f"small-{tmp_path.name}", options) as folder:
        cluster.stop("node4")
        cluster.start("node4")
        cluster.wait_idle(60)
        lab.store = StoreFolder(folder / "store")
        lab.env["LAUNCHER_STORE"] = str(lab.store.root)
        lab.script(script)
        lab.submit("compute.nodelist=node4")
        until(lambda: lab.state_of(lab.run()) == "Failed", "its end", 60)
        listed = lab.command("runs", "list")
        assert (listed.returncode, "Failed" in listed.stdout) == (0, True), listed.stderr
        for made in lab.run().outputs.iterdir():
            made.unlink()
        assert lab.over(lab.run(), 60).state is State.FAILED
        until(lambda: not lab.on("node4", str(lab.run().root)), "nothing left on node4", 30)


def test_an_attempt_that_slurm_took_for_lost_goes_by_itself(lab: SlurmLab) -> None:
    lab.script(SLEEPS)
    lab.submit("retries=1", "compute.exclude='node[3-4]'")
    first = lab.running(lab.run(), "up").nodes[0]["name"]
    daemon = min(pid for pid in lab.on(first, f"slurmd -D -N {first}") if pid > 1)  # others are its forks
    lab.cluster.exec(first, ["kill", "-STOP", str(daemon)])
    try:
        assert lab.on(first, str(lab.run().root))
        lab.slurm("scontrol", "update", f"nodename={first}", "state=down", "reason=test")
        until(lambda: not lab.on(first, f"job {lab.run().root}/job"), "the end of the first attempt", 60)
        run = lab.over(lab.run(), 60)
    finally:
        lab.cluster.exec(first, ["kill", "-CONT", str(daemon)])
        # Refused where it has come back by itself.
        words = ["scontrol", "update", f"nodename={first}", "state=resume"]
        subprocess.run(words, env=lab.env, capture_output=True, check=False)
        lab.cluster.wait_idle(60)
    assert (run.state, run.attempts) == (State.COMPLETED, (0, 1)), run
    assert run.nodes[0]["name"] != first
