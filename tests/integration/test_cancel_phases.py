"""A cancel works in every phase of a run on this machine, by `runs cancel` and by Ctrl-C."""

from __future__ import annotations

import signal
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from launcher.spec import State
from launcher.store.runs import read_run
from tests.integration.cancels import IGNORES, WITHIN_S, check_cancel, until_state

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.integration.conftest import Lab

BACKEND = "import pathlib, time\npathlib.Path(MARK).touch()\ntime.sleep(600)\n"
PROJECT = (
    '[project]\nname = "slow"\nversion = "1"\n[build-system]\nrequires = []\nbuild-backend = "backend"\n'
)


def slow_package(tmp_path: Path) -> tuple[str, Path]:
    """Return an override that brings a package whose build never ends, and the file that its build makes."""
    package, mark = tmp_path / "slow", tmp_path / "began"
    package.mkdir()
    (package / "pyproject.toml").write_text(PROJECT + 'backend-path = ["."]\n')
    (package / "backend.py").write_text(BACKEND.replace("MARK", repr(str(mark))))
    return f"environment.pip_packages=[{package}]", mark


@contextmanager
def fetching(lab: Lab, *words: str) -> Generator[subprocess.Popen[str]]:
    """Launch with an input that never arrives."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}/faces"
        launch = lab.start(*words, f"+data.inputs.faces.uri={uri}", "+data.inputs.faces.files=a")
        silent.settimeout(60)
        client, _ = silent.accept()
        with client:
            yield launch


def test_while_an_environment_is_built(lab: Lab, tmp_path: Path) -> None:
    """Here, and by another launch."""
    lab.script("print('never')")
    package, mark = slow_package(tmp_path)
    builds = lab.start("environment=packages", package)
    lab.until(mark.exists, "the build begins")
    waits = lab.start("environment=packages", package)
    until_state(lab, State.PREPARING, number=2)
    for number, launch in ((2, waits), (1, builds)):
        check_cancel(lab, launch, number=number)


def test_ctrl_c_while_an_environment_is_built(lab: Lab, tmp_path: Path) -> None:
    lab.script("print('never')")
    package, mark = slow_package(tmp_path)
    launch = lab.start("environment=packages", package)
    lab.until(mark.exists, "the build begins")
    launch.send_signal(signal.SIGINT)
    launch.communicate(timeout=WITHIN_S)
    assert launch.returncode == 130
    run = read_run(lab.run())
    assert (run.state, run.cause and run.cause.kind) == (State.CANCELED, "cancel")


def test_while_data_is_fetched(lab: Lab) -> None:
    lab.script("print('never')")
    with fetching(lab) as launch:
        check_cancel(lab, launch)
    cause = read_run(lab.run()).cause
    assert cause is not None
    assert cause.message == "canceled while preparing"


def test_one_member_of_a_sweep_while_the_others_go_on(lab: Lab) -> None:
    lab.script("print('done')")
    with fetching(lab, "-m", "+args.x=1,2") as launch:
        assert lab.command("runs", "cancel", "mnist/1").returncode == 0
        with pytest.raises(subprocess.TimeoutExpired):  # the other one needs it still
            launch.wait(timeout=2)
        check_cancel(lab, launch, number=2)
    assert [read_run(lab.store.run("mnist", number)).state for number in (1, 2)] == [State.CANCELED] * 2


def test_while_the_source_is_frozen(lab: Lab) -> None:
    lab.script("print('never')")
    for number in range(200):
        folder = lab.source / f"{number}"
        folder.mkdir()
        for file in range(100):
            (folder / f"{file}").write_text(f"{number} {file}")
    launch = lab.start()
    lab.until(lab.store.root.exists, "the store is made")
    launch.send_signal(signal.SIGINT)
    launch.communicate(timeout=WITHIN_S)
    assert launch.returncode == 130
    assert not lab.store.runs.exists() or all(
        read_run(lab.store.run("mnist", number)).state is State.CANCELED
        for number in lab.store.numbers("mnist")
    )


def test_while_it_waits_and_while_it_runs(lab: Lab) -> None:
    lab.script(IGNORES)
    launch = lab.start("-m", "args.x=1,2", "compute.max_parallel=1")
    lab.running(lab.run(1), "up")
    assert read_run(lab.run(2)).state is State.QUEUED
    check_cancel(lab, launch, number=2, more=True)
    check_cancel(lab, launch)


def test_while_processes_of_two_nodes_run(lab: Lab) -> None:
    lab.script(IGNORES)
    launch = lab.start("distribution=torch", "nodes=2", "processes_per_node=2")
    lab.running(lab.run(), "up", rank=3)
    check_cancel(lab, launch)


def test_while_many_processes_start(lab: Lab) -> None:
    lab.script("import time; time.sleep(600)")
    launch = lab.start("distribution=torch", "processes_per_node=250")
    until_state(lab, State.STARTING)
    check_cancel(lab, launch)


def test_while_it_finishes(lab: Lab) -> None:
    """Its work is done: it may well be Completed."""
    lab.script("for n in range(20000): open(f'outputs/{n}', 'w').close()")
    launch = lab.start()
    until_state(lab, State.FINALIZING, State.COMPLETED)
    check_cancel(lab, launch, ends={State.COMPLETED, State.CANCELED})
