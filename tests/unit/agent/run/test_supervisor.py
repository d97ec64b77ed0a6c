"""Supervisors as a launcher starts them: in processes of their own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from launcher.agent.base import atomic_json
from launcher.agent.base.failure_kinds import FailureKind
from launcher.agent.run.crash import settle_after_crash
from launcher.agent.run.run_end import finish
from launcher.agent.targets.local import LocalTarget

if TYPE_CHECKING:
    from launcher.agent.base.record_types import Cause
    from tests.unit.agent.conftest import Bench

_SLEEP = "import time; print('up', flush=True); time.sleep(300)"
_DAEMONS = """
import subprocess, time
subprocess.Popen(["env", "-i", "setsid", "sleep", "300"])
subprocess.Popen(["sleep", "300"], start_new_session=True)
print("up", flush=True)
time.sleep(300)
"""


def end(run: str) -> dict[str, Any]:
    return atomic_json.read(f"{run}/end.json") or {}


def up(run: str) -> bool:
    log = Path(run, "logs", "worker-0.log")
    return log.exists() and "up" in log.read_text()


def test_a_run_from_orders_to_end(supervisors: Bench) -> None:
    run = supervisors.run(supervisors.process("open('outputs/x', 'w').write('x')"))
    assert supervisors.supervise(run).wait(60) == 0
    word = end(run)
    assert (word["state"], word["attempt"], word["cause"]) == ("Completed", 0, None)
    files = (atomic_json.read(f"{run}/manifest.json") or {})["files"]
    assert set(files) == {"outputs/x", "logs/worker-0.log"}
    assert not (supervisors.folder / "supervisor.log").exists()


def test_a_run_that_fails_is_tried_again(supervisors: Bench) -> None:
    code = "import os, sys; print(a := os.environ['LAUNCHER_ATTEMPT']); sys.exit(a != '2')"
    well = supervisors.run(supervisors.process(code), retries=3)
    badly = supervisors.run(supervisors.process("raise SystemExit(5)"), retries=1, name="2")
    assert supervisors.supervise(well, badly).wait(60) == 0
    assert (end(well)["state"], end(well)["attempt"]) == ("Completed", 2)
    logs = ["worker-0.log", "attempt-1/worker-0.log", "attempt-2/worker-0.log"]
    assert [Path(well, "logs", log).read_text() for log in logs] == ["0\n", "1\n", "2\n"]
    assert [supervisors.state(well, number)["outcome"] for number in range(3)] == [
        "Failed",
        "Failed",
        "Completed",
    ]
    assert (end(badly)["state"], end(badly)["attempt"], end(badly)["cause"]["exit_code"]) == ("Failed", 1, 5)


def times(run: str) -> tuple[float, float]:
    """Return start and end of a run's process."""
    [process] = (atomic_json.read(f"{run}/attempts/0/state.json") or {})["processes"]
    return process["started"], process["ended"]


def most_at_once(runs: list[str]) -> int:
    """Return how many of these runs had a process at the same moment."""
    spans = [times(run) for run in runs]
    return max(sum(start <= at < stop for start, stop in spans) for at, _ in spans)


@pytest.mark.parametrize(
    ("parallel", "gpus", "side_by_side"), [(1, [], 1), (3, [], 3), (3, ["0", "1", "2", "3"], 2)]
)
def test_so_many_run_side_by_side(
    supervisors: Bench, parallel: int, gpus: list[str], side_by_side: int
) -> None:
    each = 2 if gpus else 0
    code = "import os, time; print(os.environ['CUDA_VISIBLE_DEVICES']); time.sleep({})"
    code = code.format(0.8 if parallel == 1 else 3)  # three have to be started while the first still sleeps
    resources = {"gpus_per_node": each}
    runs = [supervisors.run(supervisors.process(code), name=str(i), resources=resources) for i in range(4)]
    assert supervisors.supervise(*runs, max_parallel=parallel, gpus=gpus).wait(60) == 0
    assert most_at_once(runs) == side_by_side
    if gpus:
        assert {Path(run, "logs", "worker-0.log").read_text() for run in runs} == {"0,1\n", "2,3\n"}


def test_more_gpus_than_there_are(supervisors: Bench) -> None:
    code = supervisors.process("pass")
    runs = [supervisors.run(code, name=str(i), resources={"gpus_per_node": 2 * i}) for i in range(2)]
    assert supervisors.supervise(*reversed(runs), gpus=["0"]).wait(60) == 0
    assert (end(runs[0])["state"], end(runs[1])["state"]) == ("Completed", "Failed")
    assert "GPUs" in end(runs[1])["cause"]["message"]


def test_what_happens_to_runs_that_wait(supervisors: Bench) -> None:
    first = supervisors.run(supervisors.process(_SLEEP))
    canceled, deleted, ended = (supervisors.run(supervisors.process("pass"), name=name) for name in "234")
    process = supervisors.supervise(first, canceled, deleted, ended, max_parallel=1)
    supervisors.until(lambda: up(first))
    atomic_json.write(f"{canceled}/cancel.json", {})
    shutil.rmtree(deleted)
    finish(ended, "Failed", None, None)
    atomic_json.write(f"{first}/cancel.json", {})
    assert process.wait(60) == 0
    assert (end(first)["state"], end(canceled)["state"], end(ended)["state"]) == (
        "Canceled",
        "Canceled",
        "Failed",
    )
    assert end(canceled)["cause"]["phase"] == "Queued"
    assert not Path(deleted).exists()


@pytest.mark.parametrize("how", ["deleted", "emptied", "ended"])
def test_a_run_that_is_taken_away_while_it_runs(supervisors: Bench, how: str) -> None:
    first = supervisors.run(supervisors.process(_DAEMONS))
    second = supervisors.run(supervisors.process("pass"), name="2")
    process = supervisors.supervise(first, second, max_parallel=1)
    supervisors.until(lambda: up(first))
    if how == "deleted":
        shutil.rmtree(first)
    elif how == "emptied":
        Path(first, "submit.json").unlink()
    else:
        cause: Cause = {"kind": FailureKind.CANCEL, "message": "by a launcher"}
        finish(first, "Canceled", cause, None)
    assert process.wait(60) == 0
    assert end(second)["state"] == "Completed"
    assert supervisors.marked(first) == []
    assert (
        end(first) == {}
        if how != "ended"
        else end(first)["cause"] == {"kind": "cancel", "message": "by a launcher"}
    )


@pytest.mark.parametrize("whom", ["guard", "worker"])
def test_sigterm_ends_everything_with_a_word(supervisors: Bench, whom: str) -> None:
    running = supervisors.run(supervisors.process(_DAEMONS), retries=3)
    waiting = supervisors.run(supervisors.process("pass"), name="2")
    process = supervisors.supervise(running, waiting, max_parallel=1)
    supervisors.until(lambda: up(running))
    pid = supervisors.state(running)["owner"]["pid"] if whom == "worker" else process.pid
    os.kill(pid, signal.SIGTERM)
    assert process.wait(60) == 0
    for run in (running, waiting):
        assert (end(run)["state"], end(run)["cause"]["kind"]) == ("Failed", "supervisor_lost")
    assert supervisors.marked(running) == []


def test_a_killed_worker_is_told_by_its_guard(supervisors: Bench) -> None:
    running = supervisors.run(supervisors.process(_DAEMONS))
    asked = supervisors.run(supervisors.process(_SLEEP), name="2")
    waiting = supervisors.run(supervisors.process("pass"), name="3")
    process = supervisors.supervise(running, asked, waiting)
    supervisors.until(lambda: up(running) and up(asked))
    os.kill(supervisors.state(running)["owner"]["pid"], signal.SIGSTOP)
    atomic_json.write(f"{asked}/cancel.json", {})
    os.kill(supervisors.state(running)["owner"]["pid"], signal.SIGKILL)
    assert process.wait(60) == 1
    words = [end(run) for run in (running, asked, waiting)]
    assert [word["state"] for word in words] == ["Failed", "Canceled", "Failed"]
    assert [(word["cause"]["phase"], word["attempt"]) for word in words] == [
        ("Running", 0),
        ("Running", 0),
        ("Queued", None),
    ]
    assert supervisors.marked(running) == []


def test_a_killed_guard_makes_the_worker_end_everything(supervisors: Bench) -> None:
    run = supervisors.run(supervisors.process(_DAEMONS))
    process = supervisors.supervise(run)
    supervisors.until(lambda: up(run))
    process.kill()
    process.wait()
    supervisors.until(lambda: end(run))
    assert end(run)["cause"]["kind"] == "supervisor_lost"
    supervisors.until(lambda: not supervisors.marked(run))


def test_an_attempt_that_was_over_keeps_its_outcome(supervisors: Bench, tmp_path: Path) -> None:
    run = supervisors.run(supervisors.process("pass"))
    Path(run, "attempts", "0").mkdir(parents=True)
    atomic_json.write(f"{run}/attempts/0/state.json", {"outcome": "Completed", "cause": None, "phases": []})
    gone = str(tmp_path / "mnist" / "2")
    settle_after_crash([run, gone], LocalTarget())
    assert (end(run)["state"], end(run)["attempt"]) == ("Completed", 0)
    assert not Path(gone).exists()


class Rescuer(LocalTarget):
    """A place that sees to another attempt, or cannot."""

    def __init__(self, *, able: bool) -> None:
        self.able = able
        self.asked: list[int] = []

    def requeue_after_crash(self, number: int) -> bool:
        """See `LocalTarget.requeue_after_crash`."""
        self.asked.append(number)
        return self.able


@pytest.mark.parametrize(
    ("outcome", "phase", "retries", "able", "asked"),
    [
        ("Failed", "Queued", 1, True, [0]),
        ("Failed", "Queued", 1, False, [0]),
        ("Failed", "Queued", 0, True, []),
        ("Failed", "Finalizing", 1, True, []),
        ("Completed", "Finalizing", 1, True, []),
        (None, "Running", 1, True, [0]),
    ],
)
def test_a_retry_that_waits_is_seen_to_by_the_guard(  # noqa: PLR0913, PLR0917  # a table
    supervisors: Bench, outcome: str | None, phase: str, retries: int, able: bool, asked: list[int]
) -> None:
    run = supervisors.run(supervisors.process("pass"), retries=retries)
    Path(run, "attempts", "0").mkdir(parents=True)
    state = {"outcome": outcome, "cause": {"message": "lost node2"}, "phases": [[phase, 1.0]]}
    atomic_json.write(f"{run}/attempts/0/state.json", state)
    site = Rescuer(able=able)
    settle_after_crash([run], site)
    assert site.asked == asked
    if asked and able:
        assert end(run) == {}
    else:
        assert (end(run)["state"], end(run)["cause"]["message"]) == (outcome, "lost node2")


def test_a_last_word_that_cannot_be_written_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "submit.json").touch()
    (tmp_path / "end.json").mkdir()
    finish(str(tmp_path), "Failed", None, None)
    finish(str(tmp_path / "submit.json"), "Failed", None, None)
    assert "end of" in capfd.readouterr().err


@pytest.mark.parametrize("orders", [b"", b'{"runs": ["/', b"[]"])
def test_a_launcher_that_died_before_it_gave_orders(supervisors: Bench, orders: bytes) -> None:
    line = [sys.executable, "-I", "-S", str(supervisors.entry), "supervise"]
    done = subprocess.run(line, input=orders, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (1, b"")


def test_orders_that_make_no_sense_leave_no_run_undecided(supervisors: Bench) -> None:
    run = supervisors.run(supervisors.process("pass"))
    spec = Path(run, "spec.json")
    spec.write_text(json.dumps({"plan": {}}))
    process = supervisors.supervise(run)
    assert process.wait(60) == 1
    assert end(run)["cause"]["kind"] == "supervisor_lost"
    assert "Traceback" in (supervisors.folder / "supervisor.log").read_text()


def test_of_many_short_runs_four_at_once(supervisors: Bench, tmp_path: Path) -> None:
    """The first four wait for each other; the others end at once."""
    here = tmp_path / "here"
    here.mkdir()
    code = (
        f"import os, time; os.close(os.open({str(here)!r} + '/' + str(os.getpid()), os.O_CREAT))\n"
        f"while len(os.listdir({str(here)!r})) < 4: time.sleep(0.01)"
    )
    runs = [supervisors.run(supervisors.process(code), name=str(i)) for i in range(12)]
    began = time.monotonic()
    assert supervisors.supervise(*runs, max_parallel=4).wait(120) == 0
    assert {end(run)["state"] for run in runs} == {"Completed"}
    assert most_at_once(runs) == 4
    assert time.monotonic() - began < 60
