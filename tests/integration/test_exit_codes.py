"""The table of exit codes in docs/runs.md: a test for each row."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launcher.spec import State
from launcher.store.runs import read_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.conftest import Lab

PAGE = Path(__file__).parents[2] / "docs" / "runs.md"
ROW = re.compile(r"\| (\d+) \| (.+?) \| (.+?) \|")
ROWS = {text: int(code) for code, text, _ in ROW.findall(PAGE.read_text("utf-8"))}
SLEEPS = "import time; print('up', flush=True); time.sleep(300)"
CASES: dict[str, Callable[[Lab], Iterator[int]]] = {}


def row(text: str) -> Callable[[Callable[[Lab], Iterator[int]]], Callable[[Lab], Iterator[int]]]:
    """Take a function as the test of a row; it yields exit codes."""

    def note(case: Callable[[Lab], Iterator[int]]) -> Callable[[Lab], Iterator[int]]:
        CASES[text] = case
        return case

    return note


def test_every_row_has_a_test() -> None:
    assert set(CASES) == set(ROWS)


@pytest.mark.parametrize("text", CASES)
def test_a_row(lab: Lab, text: str) -> None:
    codes = list(CASES[text](lab))
    assert codes
    assert codes == [ROWS[text]] * len(codes)


def states(lab: Lab) -> list[State]:
    return [read_run(lab.run(number)).state for number in sorted(lab.store.numbers("mnist"))]


@row("every run that the command launched or waited for Completed")
def completed(lab: Lab) -> Iterator[int]:
    lab.script("import sys; sys.exit('--fail' in sys.argv)")
    yield lab.launch().returncode
    yield lab.launch("-m", "args.x=1,2").returncode
    yield lab.command("runs", "rerun", "mnist/1").returncode
    yield lab.command("runs", "wait", "mnist/1", "mnist/2").returncode
    yield lab.command("sweeps", "wait", "latest").returncode
    yield lab.command("sweeps", "resume", "latest").returncode
    assert states(lab) == [State.COMPLETED] * 4


@row("the runs were handed over, with `wait=false` or `--detach`")
def handed_over(lab: Lab) -> Iterator[int]:
    lab.script("import sys; sys.exit(1)")
    yield lab.launch("wait=false").returncode
    yield lab.command("runs", "rerun", "mnist/1", "--detach").returncode
    for number in (1, 2):
        assert lab.over(lab.run(number)).state is State.FAILED


@row("the command succeeded, or the reader of its output, such as `head`, ended first")
def done(lab: Lab) -> Iterator[int]:
    lab.script(SLEEPS)
    lab.launch("wait=false")
    yield lab.command("runs", "cancel", "mnist/1").returncode
    yield lab.command("runs", "cancel", "mnist/1").returncode
    yield lab.command("runs", "list").returncode
    yield lab.command("runs", "delete", "mnist/1").returncode
    yield lab.launch("dry_run=true").returncode
    yield lab.redirected("| head -0", sys.executable, "-m", "launcher", "--help").returncode


@row("a run Failed or was Canceled")
def failed(lab: Lab) -> Iterator[int]:
    lab.script("import sys; sys.exit('2' in sys.argv)")
    yield lab.launch("args.x=2").returncode
    yield lab.launch("-m", "args.x=1,2").returncode
    yield lab.command("runs", "rerun", "mnist/1").returncode
    yield lab.command("runs", "wait", "mnist/1", "mnist/2").returncode
    yield lab.command("sweeps", "wait", "latest").returncode
    yield lab.command("sweeps", "resume", "latest").returncode


@row("`runs wait` or `sweeps wait` reached its `--timeout`")
def timeout(lab: Lab) -> Iterator[int]:
    lab.script(SLEEPS)
    lab.launch("-m", "args.x=1,2", "wait=false")
    yield lab.command("runs", "wait", "latest", "--timeout", "0.1").returncode
    yield lab.command("sweeps", "wait", "latest", "--timeout", "0.1").returncode


@row("the environment or the data of a run could not be prepared")
def not_prepared(lab: Lab) -> Iterator[int]:
    lab.script("pass")
    words = [
        "environment=packages",
        "environment.pip_packages=['x9 @ http://127.0.0.1:9/x9-1-py3-none-any.whl']",
    ]
    data = ["data.inputs.x.uri=http://127.0.0.1:9/x"]
    yield lab.launch(*words).returncode
    yield lab.launch(*data).returncode
    yield lab.command("env", "build", *lab.line(*words)[3:]).returncode
    assert states(lab) == [State.FAILED] * 2


@row("a scheduler or a container engine refused the runs")
def refused(lab: Lab) -> Iterator[int]:
    folder = lab.source.parent / "bin"
    folder.mkdir()
    for name, lines in {
        "sbatch": "echo 'sbatch: error: no partition x' >&2; exit 1",
        "sinfo": "echo 'debug*|4|2|1000|(null)|infinite|1-infinite'",
        "scontrol": "exit 1",
        "srun": "exit 1",
        "squeue": "exit 0",
        "scancel": "exit 0",
    }.items():
        (folder / name).write_text(f"#!/bin/sh\n{lines}\n")
        (folder / name).chmod(0o755)
    lab.env["PATH"] = f"{folder}:{lab.env['PATH']}"
    lab.script("pass")
    for words in (["compute=slurm"], ["-m", "compute=slurm", "args.x=1,2"]):
        done = lab.launch(*words)
        assert "no partition x" in done.stderr
        yield done.returncode
    assert states(lab) == [State.FAILED] * 3


@row("`compute check` found something bad")
def bad(lab: Lab) -> Iterator[int]:
    yield lab.command("compute", "check", "store=/dev/null/store").returncode


@row("a run is Damaged")
def damaged(lab: Lab) -> Iterator[int]:
    lab.script("pass")
    lab.launch()
    lab.run().end.write_text("{")
    yield lab.command("runs", "show", "mnist/1").returncode
    yield lab.command("runs", "wait", "mnist/1").returncode
    yield lab.command("runs", "logs", "mnist/1").returncode


@row("a record that the command needs is damaged, or a newer version wrote it")
def damaged_record(lab: Lab) -> Iterator[int]:
    lab.script("pass")
    lab.launch("-m", "args.x=1,2")
    submit = lab.run(2).submit
    submit.write_text(json.dumps({**json.loads(submit.read_text()), "schema": 99}))
    lab.run(1).config.write_text("{")
    yield lab.command("runs", "rerun", "mnist/1").returncode
    yield lab.command("runs", "rerun", "mnist/2").returncode
    assert not lab.run(3).root.exists()


@row("only a part of the request could be done")
def part(lab: Lab) -> Iterator[int]:
    lab.script(SLEEPS)
    lab.launch("wait=false")
    lab.script("pass")
    lab.launch()
    lab.launch()
    yield lab.command("runs", "delete", "mnist/1", "mnist/2").returncode
    assert not lab.run(2).submit.exists()
    target = lab.source.parent / "full"
    target.mkdir()
    (target / "logs").symlink_to("/dev/null")
    yield lab.command("runs", "download", "mnist/3", "-o", str(target)).returncode


@row("the answer of a command could not be printed")
def not_printed(lab: Lab) -> Iterator[int]:
    for how in (">&-", ">/dev/full"):
        yield lab.redirected(how, sys.executable, "-m", "launcher", "runs", "list").returncode
        yield lab.redirected(how, sys.executable, "-m", "launcher", "--version").returncode


@row("a wrong command, value, option or id")
def wrong(lab: Lab) -> Iterator[int]:
    lab.script("pass")
    lab.launch()
    before = sorted(lab.store.root.rglob("*"))
    yield lab.launch("nodes=0").returncode
    yield lab.launch("-m", "nodes=0,1").returncode
    yield lab.launch("--wrong").returncode
    yield lab.launch("args.x=${secret:NOT_THERE_AT_ALL}").returncode
    for words in (
        ["rnus"],
        ["runs", "show", "none"],
        ["runs", "wrong"],
        ["runs", "logs", "latest", "--rank", "7"],
        ["runs", "download", "latest", "none"],
        ["sweeps", "resume", "none"],
        ["env", "show", "none"],
        ["env", "build", "environment=none"],
        ["compute", "check", "compute=none"],
        ["--cfg", "wrong"],
    ):
        yield lab.command(*words).returncode
    assert sorted(lab.store.root.rglob("*")) == before


@row("a file is in the way, a store cannot be written, or a run is not over")
def in_the_way(lab: Lab) -> Iterator[int]:
    lab.script(SLEEPS)
    lab.launch("wait=false")
    lab.running(lab.run(), "up")
    yield lab.command("runs", "delete", "mnist/1").returncode
    assert lab.run().submit.exists()
    folder = lab.source.parent / "new"
    assert lab.command("init", str(folder)).returncode == 0
    yield lab.command("init", str(folder)).returncode
    yield lab.command("init", "/dev/null/x").returncode
    yield lab.command("runs", "download", "mnist/1", "spec.json", "-o", str(lab.run().root)).returncode
    yield lab.launch("store=/dev/null/store").returncode


def stopped(lab: Lab, signum: signal.Signals) -> int:
    """Send a signal to a launch that follows its run, and return the exit code."""
    lab.script(SLEEPS)
    launch = lab.start()
    lab.running(lab.run(), "up")
    launch.send_signal(signum)
    _, err = launch.communicate(timeout=60)
    assert "runs logs -f mnist/1" in err
    assert read_run(lab.run()).state is State.RUNNING
    return launch.returncode


def interrupted(lab: Lab, signum: signal.Signals, *words: str) -> int:
    """Send a signal to a launch whose data do not come, and return the exit code."""
    lab.script("pass")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        uri = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        launch = lab.start(f"data.inputs.x.uri={uri}", *words)
        visitor, _ = server.accept()
        with visitor:
            launch.send_signal(signum)
            _, err = launch.communicate(timeout=60)
    assert ("Canceled while preparing; nothing was started." in err, "Traceback" in err) == (True, False)
    assert set(states(lab)) == {State.CANCELED}
    return launch.returncode


@row("Ctrl-C while a launch followed its runs")
def ctrl_c(lab: Lab) -> Iterator[int]:
    yield stopped(lab, signal.SIGINT)


@row("Ctrl-C during Preparing: the runs are Canceled")
def ctrl_c_preparing(lab: Lab) -> Iterator[int]:
    yield interrupted(lab, signal.SIGINT)
    yield interrupted(lab, signal.SIGINT, "-m", "args.x=1,2")


@row("SIGTERM, with the same effect as Ctrl-C")
def terminated(lab: Lab) -> Iterator[int]:
    yield interrupted(lab, signal.SIGTERM)
    lab.store = type(lab.store)(lab.source.parent / "store2")
    lab.env["LAUNCHER_STORE"] = str(lab.store.root)
    yield stopped(lab, signal.SIGTERM)


@row("SIGHUP, as when an ssh connection ends, with the same effect as Ctrl-C")
def hung_up(lab: Lab) -> Iterator[int]:
    yield interrupted(lab, signal.SIGHUP)
    lab.store = type(lab.store)(lab.source.parent / "store2")
    lab.env["LAUNCHER_STORE"] = str(lab.store.root)
    yield stopped(lab, signal.SIGHUP)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_that_waits(lab: Lab, signum: signal.Signals) -> None:
    lab.script(SLEEPS)
    lab.launch("wait=false")
    lab.running(lab.run(), "up")
    for words in (["runs", "wait", "latest"], ["runs", "logs", "-f", "latest"]):
        process = lab.popen(*words)
        lab.until(lambda process=process: _handles(process, signal.SIGHUP), "its start")
        process.send_signal(signum)
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (128 + signum, "")
    assert not read_run(lab.run()).state.terminal


def _handles(process: subprocess.Popen[str], signum: int) -> bool:
    """Return whether a process handles a signal; coverage handles SIGTERM before the command begins."""
    status = Path("/proc", str(process.pid), "status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) & 1 << (signum - 1)) and os.getpgid(process.pid) > 0


def test_nohup_keeps_a_launch_through_a_hang_up(lab: Lab) -> None:
    lab.script(
        "import os, time; print('up', flush=True)\nwhile not os.path.exists('outputs/go'): time.sleep(0.05)"
    )
    launch = lab.start(preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    lab.running(lab.run(), "up")
    launch.send_signal(signal.SIGHUP)
    (lab.run().outputs / "go").touch()
    launch.communicate(timeout=60)
    assert launch.returncode == 0


def test_a_store_that_fails_in_the_middle_of_a_sweep_ends_the_runs_before(lab: Lab) -> None:
    lab.script("pass")
    done = lab.launch("-m", f"store={lab.store.root},/dev/null/store")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "/dev/null/store cannot be written" in done.stderr
    run = read_run(lab.run())
    assert run.cause is not None
    assert (run.state, run.cause.kind) == (State.FAILED, "submit")
