"""One attempt of real processes on one node."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from launcher.agent.base.failure_kinds import FailureKind
from launcher.agent.run import attempt as module
from launcher.distribution.mpirun import RANK_STUB

if TYPE_CHECKING:
    from tests.unit.agent.conftest import Bench

_SLEEP = "import time; print('up', flush=True); time.sleep(300)"
_STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(300)"


def up(run: str, log: str = "worker-0.log") -> bool:
    path = Path(run, "logs", log)
    return path.exists() and "up" in path.read_text()


def test_a_run_that_goes_well(bench: Bench) -> None:
    code = "import os; print(open('data.txt').read()); open('outputs/model', 'w').write('m')"
    run = bench.run(bench.process(code))
    attempt = bench.drive(bench.attempt(run))
    assert (attempt.outcome, attempt.cause) == ("Completed", None)
    assert Path(run, "outputs", "model").read_text() == "m"
    assert Path(run, "logs", "worker-0.log").read_text() == "from the source\n"
    state = bench.state(run)
    assert [name for name, _ in state["phases"]] == ["Starting", "Running", "Finalizing"]
    [process] = state["processes"]
    assert (process["exit_code"], process["signal"], process["log"]) == (0, None, "logs/worker-0.log")
    assert process["started"] <= process["ended"]
    assert state["nodes"][0]["address"] == "127.0.0.1"
    assert state["outcome"] == "Completed"
    assert not Path(run, "work").exists()
    assert sorted(os.listdir(Path(run, "attempts", "0"))) == [".end.room", "state.json"]


def test_the_first_failure_ends_the_rest_and_is_the_cause(bench: Bench) -> None:
    fails = "import sys; [print('line', i) for i in range(30)]; sys.exit(7)"
    run = bench.run(bench.process(_SLEEP), bench.process(fails, index=1), bench.process(_SLEEP, index=2))
    began = time.monotonic()
    attempt = bench.drive(bench.attempt(run))
    assert time.monotonic() - began < 20
    cause: Any = attempt.cause or {}
    assert attempt.outcome == "Failed"
    assert (cause["kind"], cause["phase"], cause["role"], cause["rank"]) == ("exit", "Running", "worker", 1)
    assert (cause["index"], cause["exit_code"], cause["signal"]) == (1, 7, None)
    assert cause["message"].startswith("rank 1 on ")
    assert cause["last_lines"] == [f"line {i}" for i in range(10, 30)]
    assert [item["signal"] for item in bench.state(run)["processes"]] == [15, None, 15]


def test_the_record_follows_processes_that_end_before_the_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RECORD_EVERY_S", 0.05)
    run = bench.run(bench.process("pass"), bench.process(_SLEEP, index=1))
    attempt = bench.attempt(run)

    def ends() -> list[bool]:
        return [item["ended"] is not None for item in bench.state(run)["processes"]]

    bench.drive(attempt, until=lambda: any(ends()))
    assert ends() == [True, False]
    assert bench.state(run)["phases"][-1][0] == "Running"
    attempt.cancel()
    bench.drive(attempt)


def test_the_record_follows_the_ranks_of_mpirun(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECORD_EVERY_S", 0.05)
    # Stands in for mpirun: rank 0 ends, rank 1 runs, rank 2 has not started.
    start = 'OMPI_COMM_WORLD_RANK=0 "$@" 0; OMPI_COMM_WORLD_RANK=1 "$@" 300'
    mpi: dict[str, Any] = {"argv": ["sh", "-c", start, "mpirun", *RANK_STUB], "program": ["sleep"], "env": {}}
    run = bench.run(plan={"mpi": mpi, "processes_per_node": 3})
    attempt = bench.attempt(run)

    def ranks() -> list[tuple[bool, bool]]:
        known = bench.state(run)["processes"][:3]
        return [(item["started"] is not None, item["ended"] is not None) for item in known]

    bench.drive(attempt, until=lambda: ranks()[1][0])
    assert ranks() == [(True, True), (True, False), (False, False)]
    attempt.cancel()
    bench.drive(attempt)
    assert ranks() == [(True, True), (True, True), (False, False)]


def test_a_signal_is_a_cause(bench: Bench) -> None:
    run = bench.run(bench.process("import os; os.kill(os.getpid(), 11)"))
    cause: Any = bench.drive(bench.attempt(run)).cause or {}
    assert (cause["kind"], cause["signal"], cause["message"].endswith("was killed by signal 11")) == (
        "signal",
        11,
        True,
    )


def test_the_time_limit(bench: Bench) -> None:
    run = bench.run(bench.process(_SLEEP), resources={"time_limit_min": 0.005})
    attempt = bench.drive(bench.attempt(run))
    assert attempt.outcome == "Failed"
    assert (attempt.cause or {})["kind"] == "time_limit"
    assert "time_limit_min=0.005" in (attempt.cause or {})["message"]


def test_canceling_kills_what_will_not_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE_S", 0.2)
    run = bench.run(bench.process(_STUBBORN))
    attempt = bench.drive(bench.attempt(run), until=lambda: up(run))
    attempt.cancel()
    attempt.cancel()
    attempt.give_up(FailureKind.SUPERVISOR_LOST, "too late to be the cause")
    bench.drive(attempt)
    assert (attempt.outcome, (attempt.cause or {})["kind"]) == ("Canceled", "cancel")
    assert bench.state(run)["processes"][0]["signal"] == signal.SIGKILL


def test_giving_up(bench: Bench) -> None:
    run = bench.run(bench.process(_SLEEP))
    attempt = bench.drive(bench.attempt(run), until=lambda: up(run))
    attempt.give_up(FailureKind.SUPERVISOR_LOST, "asked to end")
    bench.drive(attempt)
    assert (attempt.outcome, (attempt.cause or {})["kind"]) == ("Failed", "supervisor_lost")


def test_the_run_is_over_with_the_roles_that_end_it(bench: Bench) -> None:
    server = bench.process(_SLEEP, role="ps", rank=2)
    workers = [bench.process("pass", index=index) for index in range(2)]
    run = bench.run(*workers, server, plan={"ends_with": ["worker"]})
    attempt = bench.drive(bench.attempt(run))
    assert (attempt.outcome, attempt.cause) == ("Completed", None)
    ended = {item["role"]: item["signal"] for item in bench.state(run)["processes"]}
    assert ended["ps"] is not None


def test_a_role_that_need_not_end_may_not_fail(bench: Bench) -> None:
    server = bench.process("raise SystemExit(3)", role="ps", rank=1)
    run = bench.run(bench.process(_SLEEP), server, plan={"ends_with": ["worker"]})
    attempt = bench.drive(bench.attempt(run))
    assert (attempt.cause or {})["message"].startswith("ps on ")


_SERVER = """
import os, socket, sys, time
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("", int(os.environ["PORT"])))
server.listen()
time.sleep(300)
"""


def test_the_rest_waits_for_a_port(bench: Bench) -> None:
    server = bench.process(
        _SERVER, role="rendezvous", rank=-1, env={"PORT": "@{port.door}"}, ready_port="door"
    )
    code = "import os, socket; socket.create_connection(('127.0.0.1', int(os.environ['PORT']))).close()"
    client = bench.process(code, env={"PORT": "@{port.door}"})
    run = bench.run(server, client, plan={"ports": {"door": 0}, "ends_with": ["worker"]})
    attempt = bench.drive(bench.attempt(run))
    assert attempt.outcome == "Completed", attempt.cause


@pytest.mark.parametrize("code", [0, 3])
def test_what_the_rest_waits_for_ends_too_early(bench: Bench, code: int) -> None:
    server = bench.process(f"raise SystemExit({code})", role="rendezvous", rank=-1, ready_port="door")
    run = bench.run(server, bench.process("pass"), plan={"ports": {"door": 0}, "ends_with": ["worker"]})
    attempt = bench.drive(bench.attempt(run))
    assert attempt.outcome == "Failed"
    cause: Any = attempt.cause
    assert (cause["role"], cause["phase"]) == ("rendezvous", "Starting")


def test_a_program_that_is_not_there(bench: Bench) -> None:
    run = bench.run(bench.process(_SLEEP), bench.process("pass", index=1))
    spec = Path(run, "spec.json")
    spec.write_text(spec.read_text().replace('"pass"', '"pass\\u0000"'))
    attempt = bench.drive(bench.attempt(run))
    cause: Any = attempt.cause or {}
    assert (attempt.outcome, cause["kind"], cause["rank"]) == ("Failed", "start", 1)
    assert "null byte" in cause["message"]


def test_a_source_that_is_gone(bench: Bench) -> None:
    run = bench.run(bench.process("pass"))
    shutil.rmtree(Path(run, "source"))
    attempt = bench.drive(bench.attempt(run))
    assert (attempt.outcome, (attempt.cause or {})["kind"]) == ("Failed", "start")
    assert "could not be started" in (attempt.cause or {})["message"]
    assert bench.state(run)["outcome"] == "Failed"


def test_a_run_folder_that_is_gone_ends_the_processes_and_nothing_else(bench: Bench) -> None:
    run = bench.run(bench.process(_SLEEP))
    attempt = bench.drive(bench.attempt(run), until=lambda: up(run))
    shutil.rmtree(run)
    attempt.cancel()
    assert bench.drive(attempt).outcome == "Canceled"
    bench.until(lambda: not bench.marked(run))


def test_a_run_folder_that_was_never_there(bench: Bench) -> None:
    run = bench.run(bench.process("pass"))
    Path(run, "file").touch()
    attempt = bench.attempt(f"{run}/file", of=run)
    assert bench.drive(attempt).outcome == "Failed"


def test_a_later_attempt_keeps_the_earlier_ones_logs(bench: Bench) -> None:
    run = bench.run(bench.process("import os; print('attempt', os.environ['LAUNCHER_ATTEMPT'])"))
    for number in (0, 1):
        bench.drive(bench.attempt(run, number))
    assert Path(run, "logs", "worker-0.log").read_text() == "attempt 0\n"
    assert Path(run, "logs", "attempt-1", "worker-0.log").read_text() == "attempt 1\n"


def test_no_port_is_a_cause(bench: Bench) -> None:
    bench.site.ports = (1, 2)
    run = bench.run(bench.process("pass"), plan={"ports": {"a": 0, "b": 0}})
    attempt = bench.drive(bench.attempt(run))
    assert (attempt.outcome, (attempt.cause or {})["kind"]) == ("Failed", "start")
