"""A cancel works in every phase of a run on this machine, by `runs cancel` and by Ctrl-C."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from launcher.spec import State
from launcher.store.runs import read_run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Lab

WITHIN_S = 20.0
"""It takes less than 5 s; a machine that runs other tests takes longer to start the command alone."""

BACKEND = "import pathlib, time\npathlib.Path(MARK).touch()\ntime.sleep(600)\n"
PROJECT = (
    '[project]\nname = "slow"\nversion = "1"\n[build-system]\nrequires = []\nbuild-backend = "backend"\n'
)


def ended(launch: subprocess.Popen[str]) -> float:
    began = time.monotonic()
    launch.communicate(timeout=WITHIN_S)
    return time.monotonic() - began


def slow_package(tmp_path: Path) -> tuple[str, Path]:
    """Return an override that brings a package whose build never ends, and the file that its build makes."""
    package, mark = tmp_path / "slow", tmp_path / "began"
    package.mkdir()
    (package / "pyproject.toml").write_text(PROJECT + 'backend-path = ["."]\n')
    (package / "backend.py").write_text(BACKEND.replace("MARK", repr(str(mark))))
    return f"environment.pip_packages=[{package}]", mark


@pytest.mark.parametrize("by", ["command", "Ctrl-C"])
def test_while_an_environment_is_built(lab: Lab, tmp_path: Path, by: str) -> None:
    lab.script("print('never')")
    package, mark = slow_package(tmp_path)
    launch = lab.start("environment=packages", package)
    lab.until(mark.exists, "the build begins")
    if by == "command":
        assert lab.command("runs", "cancel", "mnist/1").returncode == 0
    else:
        launch.send_signal(signal.SIGINT)
    ended(launch)
    assert launch.returncode == (1 if by == "command" else 130)
    run = read_run(lab.run())
    assert (run.state, run.cause and run.cause.kind) == (State.CANCELED, "cancel")


def test_while_data_is_fetched(lab: Lab) -> None:
    lab.script("print('never')")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}/faces"
        launch = lab.start(f"+data.inputs.faces.uri={uri}", "+data.inputs.faces.files=a")
        silent.settimeout(60)
        client, _ = silent.accept()
        with client:
            assert lab.command("runs", "cancel", "mnist/1").returncode == 0
            ended(launch)
    run = read_run(lab.run())
    assert launch.returncode == 1
    assert (run.state, run.cause and run.cause.message) == (State.CANCELED, "canceled while preparing")


def test_one_member_of_a_sweep_while_the_others_go_on(lab: Lab) -> None:
    lab.script("print('done')")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}/faces"
        words = (f"+data.inputs.faces.uri={uri}", "+data.inputs.faces.files=a")
        launch = lab.start("-m", *words, "+args.x=1,2")
        silent.settimeout(60)
        client, _ = silent.accept()
        with client:
            assert lab.command("runs", "cancel", "mnist/1").returncode == 0
            with pytest.raises(subprocess.TimeoutExpired):  # the other one needs it still
                launch.wait(timeout=2)
            assert lab.command("runs", "cancel", "mnist/2").returncode == 0
            ended(launch)
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
    ended(launch)
    assert launch.returncode == 130
    assert not lab.store.runs.exists() or all(
        read_run(lab.store.run("mnist", number)).state is State.CANCELED
        for number in lab.store.numbers("mnist")
    )


def test_while_many_processes_start(lab: Lab) -> None:
    lab.script("import time; time.sleep(600)")
    launch = lab.start("distribution=torch", "processes_per_node=250")
    lab.until(lambda: lab.store.run("mnist", 1).attempts(), "the attempt begins")
    assert lab.command("runs", "cancel", "mnist/1").returncode == 0
    ended(launch)
    assert read_run(lab.run()).state is State.CANCELED


def test_while_it_finishes(lab: Lab) -> None:
    lab.script("for n in range(20000): open(f'outputs/{n}', 'w').close()")
    launch = lab.start()
    seen = {State.FINALIZING, State.COMPLETED}
    lab.until(
        lambda: lab.store.run("mnist", 1).submit.exists() and read_run(lab.run()).state in seen,
        "it finishes",
    )
    lab.command("runs", "cancel", "mnist/1")
    ended(launch)
    assert read_run(lab.run()).state.terminal
