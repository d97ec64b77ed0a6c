"""Secrets reach the processes that ask for them, and nothing else: no file, no command line."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from launcher.spec import State
from launcher.store.runs import read_run
from tests.integration.conftest import Lab
from tests.integration.hydra_app import App
from tests.integration.leaks import leaks
from tests.integration.slurm.lab import OnCluster, SlurmLab

if TYPE_CHECKING:
    from launcher.paths import RunFolder

NEEDS_MPI = [pytest.mark.mpi, pytest.mark.skipif(shutil.which("mpirun") is None, reason="no mpirun on PATH")]
SECRET = ("env.KEY=${secret:TOKEN}", "env.URL='u:${secret:TOKEN}@h'", "env.OTHER='a b'")

# Tells what it has by hashes, so that only a launcher could have written a value.
SCRIPT = """\
import hashlib, json, os, pathlib, sys, time
told = {name: hashlib.sha256(os.environ[name].encode()).hexdigest() for name in ("KEY", "URL")}
told["carried"] = [name for name in os.environ if "LAUNCHER_SECRET" in name]
pathlib.Path("outputs", os.environ["LAUNCHER_RANK"] + ".json").write_text(json.dumps(told))
print("up", flush=True)
while "--wait" in sys.argv and not os.path.exists("outputs/go"):
    time.sleep(0.05)
"""


def told(value: str) -> dict[str, object]:
    """Return what a process tells that got a value."""
    texts = {"KEY": value, "URL": f"u:{value}@h"}
    hashes = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    return {**hashes, "carried": []}


def heard(run: RunFolder, rank: int = 0) -> object:
    """Return what a rank told."""
    return json.loads((run.outputs / f"{rank}.json").read_text())


def command(lab: Lab, *words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "launcher", *words]
    return subprocess.run(line, env=lab.env, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture
def needle() -> str:
    """Return what is looked for."""
    return uuid4().hex


@pytest.fixture
def value(lab: Lab, needle: str) -> str:
    """Return a value that no shell may read, which the lab's shell has."""
    lab.script(SCRIPT)
    text = f"{needle} 'a' \"$HOME\" \\@{{run}}\nsecond line"
    lab.env["TOKEN"] = text
    lab.env["XDG_CONFIG_HOME"] = str(lab.source.parent / "nothing")
    return text


SHAPES = [
    pytest.param((), 1, id="single"),
    pytest.param(("distribution=torch", "nodes=2"), 2, id="torch"),
    pytest.param(("distribution=mpi", "nodes=2", "processes_per_node=2"), 4, marks=NEEDS_MPI, id="mpi"),
]


@pytest.mark.parametrize(("words", "ranks"), SHAPES)
def test_a_secret_is_in_the_environment_of_processes_alone(
    lab: Lab, words: tuple[str, ...], ranks: int, value: str, needle: str
) -> None:
    launch = lab.start(*words, *SECRET, "args.wait=true", "retries=1")
    lab.until(lambda: len(list(lab.run().outputs.glob("*.json"))) == ranks or None, "all ranks")
    lab.running(lab.run(), "up")
    assert leaks(needle, lab.source.parent) == []
    assert len(leaks("@{secret.TOKEN}", lab.store.root)) == 2, "what looks for leaks finds what is there"
    assert any(found.startswith("/proc/") for found in leaks(f"source={lab.source}"))
    (lab.run().outputs / "go").touch()
    out, err = launch.communicate(timeout=60)
    assert launch.returncode == 0, err
    assert needle not in out + err
    assert [heard(lab.run(), rank) for rank in range(ranks)] == [told(value)] * ranks
    assert leaks(needle, lab.source.parent) == []
    assert "@{secret.TOKEN}" in lab.run().config.read_text()


def test_a_dry_run_shows_no_value(lab: Lab, value: str) -> None:
    done = lab.launch(*SECRET, "dry_run=true")
    assert done.returncode == 0, done.stderr
    assert value[:32] not in done.stdout + done.stderr
    assert "  KEY='@{secret.TOKEN}'\n" in done.stdout
    assert not lab.store.root.exists()


def test_what_runs_again_gets_the_value_of_today(lab: Lab, value: str, needle: str) -> None:
    assert lab.launch(*SECRET).returncode == 0
    assert heard(lab.run()) == told(value)
    file = lab.source.parent / "kept"
    file.touch(0o600)
    file.write_text(f"# of today\nTOKEN = {needle}\n")
    del lab.env["TOKEN"]
    lab.env["LAUNCHER_SECRETS"] = str(file)
    done = command(lab, "runs", "rerun", "mnist/1")
    assert done.returncode == 2
    assert done.stderr.startswith("env.KEY: got '${secret:TOKEN}'; expected a value: the variable TOKEN")
    assert f"{file}, whose line 2 is not NAME=value" in done.stderr
    assert needle not in done.stderr
    assert not lab.run(2).root.exists()
    file.write_text(f"TOKEN={needle}=\n")
    assert command(lab, "runs", "rerun", "mnist/1").returncode == 0
    assert heard(lab.run(2)) == told(needle + "=")
    assert leaks(needle, lab.store.root) == []


def test_retries_have_it_and_so_have_members_that_are_resumed(lab: Lab, value: str, needle: str) -> None:
    ending = "\nsys.exit(os.environ['LAUNCHER_ATTEMPT'] == '0' or os.environ['OTHER'] > 'b')\n"
    lab.script(SCRIPT + ending)
    done = lab.launch("-m", SECRET[0], SECRET[1], "env.OTHER=a,z", "retries=1")
    assert done.returncode == 1
    assert [read_run(lab.run(number)).state for number in (1, 2)] == [State.COMPLETED, State.FAILED]
    assert heard(lab.run(1)) == heard(lab.run(2)) == told(value)
    shown = command(lab, "sweeps", "resume", "latest", *SECRET[:2])
    assert shown.returncode == 1, shown.stderr
    assert heard(lab.run(3)) == told(value)
    del lab.env["TOKEN"]
    assert command(lab, "sweeps", "resume", "latest").returncode == 2
    today = uuid4().hex
    lab.env["TOKEN"] = today
    assert command(lab, "sweeps", "resume", "latest").returncode == 1
    assert heard(lab.run(4)) == told(today)
    assert leaks(needle, lab.store.root) == []


def test_jobs_of_a_hydra_app(tmp_path: Path, needle: str) -> None:
    app = App(tmp_path)
    app.env["TOKEN"] = needle
    script = (app.folder / "train.py").read_text()
    script = script.replace(
        'mode: str = "number"', 'mode: str = "number"\n    key: str = "${oc.env:TOKEN,none}"'
    )
    tells = "import hashlib; print(hashlib.sha256(config.key.encode()).hexdigest())"
    script = script.replace("def main(config):\n", f"def main(config):\n    {tells}\n")
    (app.folder / "train.py").write_text(script)
    done = app.sweep("optimizer.lr=1,2", "hydra.launcher.secrets=[TOKEN]")
    assert done.returncode == 0, done.stderr
    assert app.run(1).submit["overrides"] == ["optimizer.lr=1"]
    assert hashlib.sha256(needle.encode()).hexdigest() in app.log(2)
    assert leaks(needle, tmp_path) == []
    del app.env["TOKEN"]
    done = app.sweep("hydra.launcher.secrets=[TOKEN]")
    assert done.returncode == 1
    assert "hydra.launcher.env.TOKEN: got '${secret:TOKEN}'; expected a value: the variable" in done.stderr


class TestSlurm(OnCluster):
    """The same, as jobs of a cluster."""

    @pytest.mark.parametrize(("words", "ranks"), SHAPES)
    def test_jobs(self, lab: SlurmLab, words: tuple[str, ...], ranks: int, value: str, needle: str) -> None:
        lab.submit(*words, *SECRET, "args.wait=true", "compute.login_shell=false")
        lab.until(lambda: len(list(lab.run().outputs.glob("*.json"))) == ranks or None, "all ranks", 120)
        assert leaks(needle, lab.source.parent) == []
        (lab.run().outputs / "go").touch()
        assert lab.over(lab.run()).state is State.COMPLETED
        assert [heard(lab.run(), rank) for rank in range(ranks)] == [told(value)] * ranks
        assert leaks(needle, lab.source.parent) == []

    def test_members_whatever_else_their_jobs_get_of_the_shell(self, lab: SlurmLab, value: str) -> None:
        words = ("compute.export=NIL,ALL,HOME", "env.OTHER=a,b", "compute.login_shell=false")
        done = lab.launch("-m", *SECRET[:2], *words)
        assert done.returncode == 0, done.stderr
        assert [heard(lab.run(number)) for number in range(1, 7)] == [told(value)] * 6

    def test_a_job_that_is_submitted_again(self, lab: SlurmLab, value: str, needle: str) -> None:
        """Slurm keeps it with a job that it requeues; the agent gives it to one that it submits."""
        lab.script(SCRIPT + "\nif os.environ['LAUNCHER_ATTEMPT'] == '0': time.sleep(300)\n")
        lab.submit(*SECRET, "retries=1", "compute.login_shell=false")
        lab.running(lab.run(), "up")
        lab.slurm("scontrol", "requeue", lab.job(lab.run()))
        assert lab.over(lab.run(), 180).attempts == (0, 1)
        assert heard(lab.run()) == told(value)
        assert leaks(needle, lab.source.parent) == []
