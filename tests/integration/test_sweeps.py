"""Sweeps as records: they outlive whoever launched them, and are taken up again where they stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from launcher.spec import State
from launcher.store import records
from launcher.store.runs import read_run, request_cancel
from tests.integration.conftest import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.machine import Cluster
    from tests.integration.conftest import Lab


def sweeps(lab: Lab, *words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "launcher", "sweeps", *words]
    return subprocess.run(
        line, cwd=REPOSITORY, env=lab.env, capture_output=True, text=True, timeout=240, check=False
    )


def shown(lab: Lab) -> dict[str, Any]:
    return json.loads(sweeps(lab, "show", "latest", "--json").stdout)


def states(lab: Lab) -> list[tuple[str, str]]:
    return [(member["run"], member["state"]) for member in shown(lab)["members"]]


def odd_ones_fail(lab: Lab) -> None:
    """Write a script that fails for odd numbers until the file `ok` is beside the source."""
    lab.script(
        "import json, os, sys\nx = int(sys.argv[-1])\n"
        "with open(os.environ['LAUNCHER_METRICS'], 'a') as file:\n"
        "    file.write(json.dumps({'name': 'loss', 'value': x / 10}) + '\\n')\n"
        f"sys.exit(x % 2 and not os.path.exists({str(lab.source.parent / 'ok')!r}))\n"
    )


@pytest.fixture
def slow_input() -> Iterator[tuple[str, threading.Event]]:
    """Return an address that answers once the event is set."""
    gate = threading.Event()

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            gate.wait(60)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(b"hi")

        do_HEAD = do_GET  # noqa: N815  # as the base class wants it

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            del format, args

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            del request, client_address  # who asked was killed

    server = Server(("127.0.0.1", 0), Slow)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/x.txt", gate
    gate.set()
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_sweep_is_recorded_listed_and_shown(lab: Lab) -> None:
    odd_ones_fail(lab)
    done = lab.launch("-m", "+args.x=1,2,4", "objective=loss", "compute.max_parallel=2")
    assert done.returncode == 1
    [row] = json.loads(sweeps(lab, "list", "--json").stdout)
    assert done.stderr.startswith(f"sweep {row['id']}  3 runs")
    assert f"sweeps resume {row['id']}" in done.stderr
    assert row["states"] == {"Failed": 1, "Completed": 2}
    assert "+args.x=1,2,4" in row["overrides"]
    whole = shown(lab)
    assert whole["max_parallel"] == 2
    assert [member["objective"] for member in whole["members"]] == [0.1, 0.2, 0.4]
    assert [member["cause"] is None for member in whole["members"]] == [False, True, True]
    listed = sweeps(lab, "list").stdout.splitlines()
    assert row["id"] in listed[1]
    assert "2 Completed, 1 Failed" in listed[1]
    text = sweeps(lab, "show", row["id"][:5]).stdout
    assert "0  mnist/1  Failed" in text
    assert "mnist/1: worker" in text
    assert sweeps(lab, "wait", "latest").returncode == 1
    record = records.read(lab.store.sweep(row["id"]).record) or {}
    assert {member["snapshot"] for member in record["members"]} == {lab.run(1).source.resolve().name}
    assert len({member["config"] for member in record["members"]}) == 3


def test_resume_runs_what_did_not_complete_as_it_is_frozen(lab: Lab) -> None:
    odd_ones_fail(lab)
    assert lab.launch("-m", "+args.x=1,2,3").returncode == 1
    (lab.source.parent / "ok").touch()
    lab.script("raise SystemExit('edited since')")
    done = sweeps(lab, "resume", "latest")
    assert done.returncode == 0, done.stderr
    assert "(2 of 2) +args.x=" in done.stderr
    assert states(lab) == [("mnist/4", "Completed"), ("mnist/2", "Completed"), ("mnist/5", "Completed")]
    assert [member["replaced"] for member in shown(lab)["members"]] == [["mnist/1"], [], ["mnist/3"]]
    run = read_run(lab.run(5))
    assert run.submit["resumes"] == "mnist/3"
    assert run.folder.config.read_text() == lab.run(3).config.read_text()
    assert read_run(lab.run(3)).state is State.FAILED
    again = sweeps(lab, "resume", "latest")
    assert again.returncode == 0
    assert "no member failed" in again.stdout
    assert sweeps(lab, "wait", "latest").returncode == 0
    waited = subprocess.run(
        [sys.executable, "-m", "launcher", "runs", "wait", shown(lab)["id"]],
        env=lab.env, capture_output=True, check=False,
    )  # fmt: skip
    assert waited.returncode == 0  # what was replaced does not count


def test_resume_refuses_what_is_not_frozen(lab: Lab) -> None:
    odd_ones_fail(lab)
    line = lab.line("-m", "+args.x=1,2")[3:]
    lab.launch("-m", "+args.x=1,2")
    (lab.source.parent / "ok").touch()
    refused = sweeps(lab, "resume", "latest", "retries=3", "+args.x=1,4")
    assert refused.returncode == 2
    assert "retries: frozen 0, given 3 (every member)" in refused.stderr
    assert "args.x: frozen 2, given 4 (member 1)" in refused.stderr
    fewer = sweeps(lab, "resume", "latest", "+args.x=1")
    assert fewer.returncode == 2
    assert "it has 2 members, this line makes 1" in fewer.stderr
    chosen = sweeps(lab, "resume", "latest", "distribution=torch")
    assert "distribution: frozen 'single', given 'torch'" in chosen.stderr
    assert sorted(lab.store.numbers("mnist")) == [1, 2]
    same = sweeps(lab, "resume", "latest", *line, "wait=false")
    assert same.returncode == 0, same.stderr
    assert states(lab) == [("mnist/3", "Completed"), ("mnist/2", "Completed")]


def test_a_launcher_killed_while_preparing_leaves_a_sweep_to_resume(
    lab: Lab, slow_input: tuple[str, threading.Event]
) -> None:
    address, gate = slow_input
    lab.script("import os; print(open(os.environ['LAUNCHER_DATA_X'] + '/x.txt').read())")
    words = ("-m", f"+data.inputs.x.uri={address}", "+args.y=1,2,3")
    launch = lab.start(*words, start_new_session=True)
    lab.until(
        lambda: lab.run(1).submit.exists() and read_run(lab.run(1)).state is State.PREPARING, "preparing"
    )
    request_cancel(lab.run(3))
    os.killpg(launch.pid, signal.SIGKILL)
    launch.communicate()
    assert states(lab) == [("mnist/1", "Lost"), ("mnist/2", "Lost"), ("mnist/3", "Canceled")]
    assert "it never started" in sweeps(lab, "show", "latest").stdout
    waited = sweeps(lab, "wait", "latest")
    assert waited.returncode == 1
    assert "mnist/1: Lost" in waited.stderr
    gate.set()
    lab.env["LAUNCHER_CACHE"] += "-2"  # what fetched the input was killed, and its lock is kept for a minute
    done = sweeps(lab, "resume", "latest")
    assert done.returncode == 0, done.stderr
    assert states(lab) == [("mnist/1", "Completed"), ("mnist/2", "Completed"), ("mnist/4", "Completed")]
    assert (lab.run(1).logs / "worker-0.log").read_text() == "hi\n"


@pytest.mark.parametrize("kind", [signal.SIGHUP, signal.SIGKILL])
def test_a_sweep_outlives_the_shell_that_launched_it(lab: Lab, kind: signal.Signals) -> None:
    go = lab.source.parent / "go"
    lab.script(
        f"import os, time\nprint('up', flush=True)\nwhile not os.path.exists({str(go)!r}): time.sleep(0.02)\n"
    )
    launch = lab.start("-m", "+args.x=1,2,3", "compute.max_parallel=1", start_new_session=True)
    lab.running(lab.run(1), "up")
    os.killpg(launch.pid, kind)
    launch.communicate()
    assert launch.returncode == (-kind if kind is signal.SIGKILL else 128 + kind)
    assert [state for _, state in states(lab)] == ["Running", "Queued", "Queued"]
    nothing = sweeps(lab, "resume", "latest")
    assert "some are still running" in nothing.stdout
    late = sweeps(lab, "wait", "latest", "--timeout", "0.1")
    assert late.returncode == 1
    go.touch()
    assert sweeps(lab, "wait", "latest").returncode == 0
    assert states(lab) == [(f"mnist/{n}", "Completed") for n in (1, 2, 3)]


def test_what_a_killed_supervisor_left_is_resumed(lab: Lab) -> None:
    lab.script(
        "import os, time\nprint('up', flush=True)\n"
        f"while not os.path.exists({str(lab.source.parent / 'go')!r}): time.sleep(0.02)\n"
    )
    launch = lab.start("-m", "+args.x=1,2", "compute.max_parallel=1")
    lab.running(lab.run(1), "up")
    owner = (records.read(lab.run(1).submit) or {})["owner"]
    launch.kill()
    launch.communicate()
    os.kill(owner["pid"], signal.SIGKILL)
    lab.until(lambda: not lab.processes(lab.run(1)), "end of its processes")
    assert {state for _, state in states(lab)} <= {"Failed", "Lost"}
    (lab.source.parent / "go").touch()
    done = sweeps(lab, "resume", "latest")
    assert done.returncode == 0, done.stderr
    assert [state for _, state in states(lab)] == ["Completed", "Completed"]


def test_canceling_one_some_and_all(lab: Lab) -> None:
    lab.script("import time; print('up', flush=True); time.sleep(300)")
    assert lab.launch("-m", "+args.x=1,2,3,4", "compute.max_parallel=2", "wait=false").returncode == 0
    lab.running(lab.run(1), "up")
    assert "mnist/1  Canceled" in sweeps(lab, "cancel", "latest", "0").stdout
    lab.running(lab.run(3), "up")
    sweeps(lab, "cancel", "latest", "1", "2")
    assert [state for _, state in states(lab)][:3] == ["Canceled"] * 3
    assert states(lab)[3][1] not in {"Canceled", "Failed"}
    wrong = sweeps(lab, "cancel", "latest", "4")
    assert wrong.returncode == 2
    assert "0 to 3" in wrong.stderr
    told = json.loads(sweeps(lab, "cancel", "latest", "--json").stdout)
    assert [each["state"] for each in told] == ["Canceled"] * 4
    assert sweeps(lab, "wait", "latest").returncode == 1


def test_what_was_deleted_is_left_out(lab: Lab) -> None:
    odd_ones_fail(lab)
    lab.launch("-m", "+args.x=1,2,3")
    (lab.source.parent / "ok").touch()
    delete = [sys.executable, "-m", "launcher", "runs", "delete", "mnist/1"]
    subprocess.run(delete, env=lab.env, check=True, capture_output=True)
    assert sweeps(lab, "resume", "latest", "--detach").returncode == 0
    lab.over(lab.run(4))
    assert states(lab) == [("mnist/1", "Deleted"), ("mnist/2", "Completed"), ("mnist/4", "Completed")]
    assert sweeps(lab, "wait", "latest").returncode == 1
    unknown = sweeps(lab, "show", "nothing")
    assert unknown.returncode == 2
    assert "no record of such a sweep" in unknown.stderr


@pytest.mark.slow
def test_on_slurm_it_is_the_same(lab: Lab, cluster: Cluster) -> None:
    lab.env |= cluster.variables
    folder = lab.source.parent
    lab.script(
        "import os, sys, time\nprint('up', flush=True)\n"
        f"while not os.path.exists({str(folder / 'go')!r}): time.sleep(0.05)\n"
        f"sys.exit(int(sys.argv[-1]) % 2 and not os.path.exists({str(folder / 'ok')!r}))\n"
    )
    words = ("-m", "compute=slurm", "+args.x=1,2,3", "compute.max_parallel=2")
    launch = lab.start(*words, start_new_session=True)
    lab.running(lab.run(1), "up")
    os.killpg(launch.pid, signal.SIGKILL)
    launch.communicate()
    lab.until(lambda: "JobArrayTaskLimit" in sweeps(lab, "show", "latest").stdout, "what the third waits for")
    (folder / "go").touch()
    assert sweeps(lab, "wait", "latest").returncode == 1
    assert [state for _, state in states(lab)] == ["Failed", "Completed", "Failed"]
    (folder / "ok").touch()
    done = sweeps(lab, "resume", "latest")
    assert done.returncode == 0, done.stderr
    assert states(lab) == [(f"mnist/{n}", "Completed") for n in (4, 2, 5)]
