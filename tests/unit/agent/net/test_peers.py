"""Several nodes acted by this machine: agents, their channels, mpirun's remote shell."""
# pyright: reportPrivateUsage=false

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from launcher.agent.base.processes import descendants
from launcher.agent.base.tmp import tmp_folder
from launcher.agent.mpi import remote_shell as shim_module
from launcher.agent.mpi.remote_shell import RemoteShell
from launcher.agent.net import peers as peers_module
from launcher.agent.net.channel import Channel, connect
from launcher.agent.net.peers import Peers
from launcher.agent.run import attempt as attempt_module

if TYPE_CHECKING:
    import selectors
    from collections.abc import Callable

    from tests.unit.agent.conftest import Bench

_SLEEP = "import time; print('up', flush=True); time.sleep(300)"


def up(run: str, *logs: str) -> bool:
    paths = [Path(run, "logs", log) for log in logs]
    return all(path.exists() and "up" in path.read_text() for path in paths)


def agents(run: str) -> list[int]:
    """Return the other agents' guards."""
    found: list[int] = []
    for pid in descendants(os.getpid()):
        try:
            if f"LAUNCHER_AGENT_MARK={run}#".encode() in Path(f"/proc/{pid}/environ").read_bytes():
                found.append(pid)
        except OSError:
            continue
    return found


def test_every_node_knows_where_the_others_are(bench: Bench) -> None:
    code = (
        "import os; print(os.environ['A'], os.environ['LAUNCHER_NODE'], 'LAUNCHER_AGENT_TOKEN' in os.environ)"
    )
    env = {"A": "@{host.0} @{host.1} @{host.2} @{node.1} @{interface} @{port.one} @{port.two}"}
    processes = [bench.process(code, index=node, node=node, env=env) for node in range(3)]
    run = bench.run(*processes, plan={"ports": {"one": 1, "two": 2}})
    attempt = bench.drive(bench.attempt(run))
    assert attempt.outcome == "Completed", attempt.cause
    words = [Path(run, "logs", f"worker-{node}.log").read_text().split() for node in range(3)]
    assert words[0][:5] == ["127.0.0.1"] * 3 + ["node1", "lo"]
    assert words[0][:7] == words[1][:7] == words[2][:7]
    assert words[0][5] != words[0][6]
    assert [line[7:] for line in words] == [["0", "False"], ["1", "False"], ["2", "False"]]
    state = bench.state(run)
    assert [node["name"] for node in state["nodes"]] == ["node0", "node1", "node2"]
    assert [item["node"] for item in state["processes"]] == ["node0", "node1", "node2"]
    assert sorted(os.listdir(Path(run, "attempts", "0"))) == [".end.room", "state.json"]


def test_a_failure_on_another_node_ends_all(bench: Bench) -> None:
    run = bench.run(bench.process(_SLEEP), bench.process("raise SystemExit(4)", index=1, node=1))
    attempt = bench.drive(bench.attempt(run))
    assert (attempt.cause or {})["message"] == "rank 1 on node1 exited with 4"
    assert agents(run) == []


def test_an_agent_that_is_killed_is_a_cause_and_leaves_nothing(bench: Bench) -> None:
    daemon = "import subprocess; subprocess.Popen(['env', '-i', 'setsid', 'sleep', '300'])\n" + _SLEEP
    for number, depth in enumerate((0, -1)):  # the guard, the agent itself
        processes = bench.process(_SLEEP), bench.process(daemon, index=1, node=1)
        run = bench.run(*processes, name=str(number))
        attempt = bench.drive(
            bench.attempt(run), until=lambda run=run: up(run, "worker-0.log", "worker-1.log")
        )
        Path(tmp_folder(f"{run}#0#1")).mkdir()
        pids = agents(run)
        below = [pid for top in pids for pid in descendants(top)]
        os.kill(pids[depth], signal.SIGKILL)
        bench.drive(attempt)
        cause: Any = attempt.cause or {}
        assert (attempt.outcome, cause["kind"], cause["node"]) == ("Failed", "agent_lost", "node1")
        bench.until(
            lambda below=below: not any(Path(f"/proc/{pid}").exists() for pid in below) or reap(bench)
        )
        assert not Path(tmp_folder(f"{run}#0#1")).exists()


def reap(bench: Bench) -> None:
    bench.loop.reap(lambda _pid, _status: None)


def test_an_agent_that_is_stopped_cannot_keep_a_run_from_its_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_module, "GRACE_S", 0.1)
    monkeypatch.setattr(attempt_module, "END_WITHIN_S", 0.3)
    monkeypatch.setattr(peers_module, "END_WITHIN_S", 0.3)
    run = bench.run(bench.process(_SLEEP), bench.process(_SLEEP, index=1, node=1))
    attempt = bench.drive(bench.attempt(run), until=lambda: up(run, "worker-0.log", "worker-1.log"))
    for pid in agents(run):
        os.kill(pid, signal.SIGSTOP)
    attempt.cancel()
    assert bench.drive(attempt).outcome == "Canceled"
    bench.until(lambda: not bench.marked(run) or reap(bench))


def test_agents_that_never_come(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt_module, "HELLO_TIMEOUT_S", 0.3)
    bench.entry.write_text("import time; time.sleep(300)")
    run = bench.run(bench.process("pass"), bench.process("pass", index=1, node=1))
    attempt = bench.drive(bench.attempt(run))
    assert (attempt.cause or {})["kind"] == "agent_lost"
    assert "no agent on node1" in (attempt.cause or {})["message"]


def test_agents_that_cannot_start_tell_why_in_their_log(bench: Bench) -> None:
    bench.entry.write_text("import sys; sys.exit('broken')")
    run = bench.run(bench.process("pass"), bench.process("pass", index=1, node=1))
    attempt = bench.drive(bench.attempt(run))
    assert (attempt.cause or {})["message"] == "lost the agent of node1: its agent ended"
    assert "broken" in Path(run, "attempts", "0", "node-1.log").read_text()


def test_an_agent_that_finds_nobody_says_so(bench: Bench) -> None:
    env = {
        "LAUNCHER_AGENT_ADDRESSES": "127.0.0.1:1", "LAUNCHER_AGENT_TOKEN": "x", "LAUNCHER_AGENT_NODE": "1",
        "LAUNCHER_AGENT_MARK": f"{bench.folder}#0#1",
    }  # fmt: skip
    patient = "from launcher.agent.main import main\n"
    hasty = (
        "import launcher.agent.main as agent\nagent.connect = lambda *ways, timeout_s: connect(*ways, 0.5)\n"
    )
    text = bench.entry.read_text().replace(
        patient, f"{patient}from launcher.agent.net.channel import connect\n{hasty}"
    )
    bench.entry.write_text(text)
    line = [sys.executable, "-I", "-S", str(bench.entry), "node"]
    done = subprocess.run(
        line, env={**os.environ, **env}, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "no way to agent 0: 127.0.0.1:1" in done.stderr


def test_strangers_at_the_door_are_turned_away(bench: Bench) -> None:
    events: list[Any] = []
    peers = Peers(bench.loop.selector, lambda node, event: events.append((node, event)), bench.site.listen())
    where = peers._listener.getsockname()
    strangers = [socket.create_connection(where) for _ in range(6)]
    for sock, data in zip(
        strangers, (b"[1]\n", b"{}\n", b"[" * 60_000 + b"\n", b"x" * 9000, b"", b"half"), strict=True
    ):
        sock.sendall(data)
    strangers[4].close()
    for _ in range(20):
        bench.loop.wait(0.0)
    peers.send(1, {"do": "end", "grace": 0.0})  # to nobody
    peers.close()
    peers.close()
    assert (events, peers.gone, peers.reaped(1, 0)) == ([], True, False)
    for sock in strangers:
        sock.close()


def test_connections_that_prove_nothing_are_bounded_and_dropped(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers_module, "HANDSHAKE_S", 0.5)
    events: list[Any] = []
    peers = Peers(bench.loop.selector, lambda node, event: events.append((node, event)), bench.site.listen())
    where = peers._listener.getsockname()
    strangers = [socket.create_connection(where) for _ in range(peers_module.STRANGERS + 20)]
    most = 0

    def serve(until: Callable[[], object]) -> None:
        nonlocal most
        deadline = time.monotonic() + 60
        while not until():
            assert time.monotonic() < deadline
            bench.loop.wait(time.monotonic() + 0.05)
            peers.tick()
            most = max(most, len(peers._strangers))

    serve(lambda: len(peers._strangers) == peers_module.STRANGERS)
    answer: Future[Channel] = Future()
    address = f"127.0.0.1:{where[1]}"
    # An agent comes behind all strangers, and is admitted as soon as their time is over.
    join = threading.Thread(
        target=lambda: answer.set_result(connect([address], peers._token, {"node": 1}, 60))
    )
    join.start()
    serve(lambda: events and not peers._strangers)
    join.join()
    assert most == peers_module.STRANGERS
    assert [(node, event["event"]) for node, event in events] == [(1, "hello")]
    assert all(sock.recv(9999) for sock in strangers)  # the challenge
    assert [sock.recv(1) for sock in strangers] == [b""] * len(strangers)
    peers.close()
    answer.result().close()
    for sock in strangers:
        sock.close()


def test_a_supervisor_without_descriptors_pauses_instead_of_spinning() -> None:
    code = """
import os, resource, selectors, socket, time
from launcher.agent.net.peers import Peers
selector = selectors.DefaultSelector()
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
peers = Peers(selector, lambda node, event: None, listener)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
clients = [socket.create_connection(listener.getsockname()) for _ in range(10)]
taken = []
try:
    while True:
        taken.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
began, woken = time.monotonic(), 0
while time.monotonic() < began + 1.2:
    for key, _ in selector.select(0.1):
        woken += 1
        key.data()
    peers.tick()
for fd in taken:
    os.close(fd)
while len(peers._strangers) < 10:
    for key, _ in selector.select(0.1):
        key.data()
    peers.tick()
print(woken)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert 1 <= int(done.stdout) <= 4


SHIM = Path(peers_module.__file__).parents[1] / "mpi" / "remote_shell.sh"


def ring(folder: Path, *words: str) -> None:
    subprocess.run(
        ["sh", SHIM, *words], env={**os.environ, "LAUNCHER_SHIM": str(folder)}, check=True, timeout=60
    )


def test_mpirun_reaches_its_hosts_through_the_shim(tmp_path: Path, bench: Bench) -> None:
    asked: list[tuple[str, str]] = []
    (tmp_path / "requests.fifo").write_text("of an agent that was killed")
    shim = RemoteShell(
        str(tmp_path), bench.loop.selector, lambda host, command, _: asked.append((host, command))
    )
    ring(tmp_path, "node1", "orted", "-mca", 'ess "env"')
    ring(tmp_path, "node2", "x" * 100_000)
    bench.until(lambda: bench.loop.wait(0.0) or len(asked) == 2)
    assert asked == [("node1", 'orted -mca ess "env"'), ("node2", "x" * 100_000)]
    with (tmp_path / "requests.fifo").open("w") as bell:
        bell.write("../../etc/passwd\nrequest-none\nrequest-../x\nhalf")
    for _ in range(5):
        bench.loop.wait(0.0)
    assert len(asked) == 2
    shim._ring()  # pyright: ignore[reportPrivateUsage]  # woken for nothing
    shim.close()
    assert os.listdir(tmp_path) == ["entry.py"]


def test_a_shim_that_waits_ends_as_its_daemon_did(tmp_path: Path, bench: Bench) -> None:
    asked: list[tuple[str, str, str]] = []

    def ask(host: str, command: str, name: str) -> None:
        asked.append((host, command, name))

    shim = RemoteShell(str(tmp_path), bench.loop.selector, ask)
    env = {**os.environ, "LAUNCHER_SHIM": str(tmp_path), "LAUNCHER_SHIM_WAITS": "yes"}
    waiting = subprocess.Popen(["sh", SHIM, "-x", "node1", "hydra_pmi_proxy", "--debug"], env=env)
    bench.until(lambda: bench.loop.wait(0.0) or asked)
    [(host, command, name)] = asked
    assert (host, command) == ("node1", "hydra_pmi_proxy --debug")
    assert waiting.poll() is None
    shim.answer("request-of-nobody", 0)
    shim.answer(name, 7)
    assert waiting.wait(60) == 7
    shim.close()


def test_a_host_that_mpirun_made_up(bench: Bench) -> None:
    line: dict[str, Any] = {
        "argv": ["sh", "-c", f"sh {SHIM} elsewhere orted; sleep 300"],
        "program": [],
        "env": {},
    }
    run = bench.run(plan={"mpi": line})
    attempt = bench.drive(bench.attempt(run))
    assert "'elsewhere'" in (attempt.cause or {})["message"]


def mpirun(bench: Bench, script: str) -> tuple[str, Any]:
    """Run a stand-in for mpirun on two nodes; return the run and its cause."""
    line: dict[str, Any] = {"argv": ["sh", "-c", script, SHIM.as_posix()], "program": [], "env": {}}
    run = bench.run(plan={"mpi": line, "nodes": 2})
    attempt = bench.drive(bench.attempt(run))
    return run, attempt.cause or {}


def test_daemons_run_on_their_node(bench: Bench) -> None:
    command = 'echo daemon $LAUNCHER_NODE; echo 0 >\\"$LAUNCHER_RANK_ENDS/done\\"'
    wait = 'until [ -e "$LAUNCHER_RANK_ENDS/done" ]; do sleep 0.05; done'
    script = f'sh $0 node1 "{command}"; {wait}; echo ranks done'
    run, cause = mpirun(bench, script.replace("$LAUNCHER_NODE", "\\$LAUNCHER_NODE"))
    assert cause == {}
    assert sorted(Path(run, "logs", "mpirun-0.log").read_text().splitlines()) == ["daemon 1", "ranks done"]


def test_a_daemon_that_is_killed_is_the_cause(bench: Bench) -> None:
    _, cause = mpirun(bench, "sh $0 node1 'kill -9 $$'; sleep 300")
    assert cause["message"] == "mpirun's daemon on node1 was killed by signal 9"


def test_a_daemon_that_fails_is_the_cause_when_mpirun_does_not_tell(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shim_module, "PATIENCE_S", 0.2)
    _, cause = mpirun(bench, "sh $0 node1 'exit 3'; sleep 300")
    assert cause["message"] == "mpirun's daemon on node1 exited with 3"


@pytest.mark.parametrize(
    ("how", "said"), [("exit 9", "exited with 9"), ("kill -9 $$", "was killed by signal 9")]
)
def test_rank_sh_tells_which_rank_failed(bench: Bench, how: str, said: str) -> None:
    stub = SHIM.with_name("rank.sh")
    rank = "OMPI_COMM_WORLD_RANK=%d OMPI_COMM_WORLD_LOCAL_RANK=0 sh " + str(stub)
    body = "echo rank $LAUNCHER_RANK $LAUNCHER_METRICS; "
    script = f"({rank % 0} sh -c '{body} exit 0'); ({rank % 1} sh -c '{body} {how}'); exit 1"
    run, cause = mpirun(bench, script)
    assert (cause["message"], cause["rank"]) == (f"rank 1 on node1 {said}", 1)
    assert cause["last_lines"][0] == f"rank 1 {run}/metrics/worker-1.jsonl"
    codes = [(item["exit_code"], item["signal"]) for item in bench.state(run)["processes"]]
    assert codes == [(0, None), (9, None) if how == "exit 9" else (None, 9), (1, None)]


def test_rank_sh_under_srun_says_on_which_node_a_rank_is(tmp_path: Path) -> None:
    env = {
        "PMIX_RANK": "3", "SLURM_LOCALID": "1", "SLURM_NODEID": "1", "LAUNCHER_NODE": "0",
        "LAUNCHER_MARK": "/run#0#0", "LAUNCHER_STEP_TMP": "one two", "TMPDIR": str(tmp_path),
        "LAUNCHER_METRICS_FOLDER": ".", "LAUNCHER_PROCESS_LOGS": str(tmp_path),
        "LAUNCHER_RANK_ENDS": str(tmp_path),
    }  # fmt: skip
    env |= {name: value for name, value in os.environ.items() if name not in {*env, "CUDA_VISIBLE_DEVICES"}}
    stub = ["sh", str(SHIM.with_name("rank.sh")), "sh", "-c"]
    show = 'echo "$LAUNCHER_RANK $LAUNCHER_LOCAL_RANK $LAUNCHER_NODE $LAUNCHER_MARK"'
    show += '; echo "${CUDA_VISIBLE_DEVICES-unset}"; cd "$TMPDIR"; pwd'
    subprocess.run([*stub, show], env=env, check=True, timeout=60)
    log = tmp_path / "worker-3.log"
    assert log.read_text() == f"3 1 1 /run#0#1\n\n{tmp_path}/two/job\n"
    subprocess.run([*stub, 'echo "$TMPDIR"'], env=env | {"LAUNCHER_STEP_TMP": ""}, check=True, timeout=60)
    assert log.read_text().endswith(f"\n{tmp_path}\n")


def test_a_killed_mpirun_is_the_cause_itself(bench: Bench) -> None:
    _, cause = mpirun(bench, ': >"$LAUNCHER_RANK_ENDS/rank-0"; kill -9 $$')
    assert cause["message"] == "mpirun on node0 was killed by signal 9"


def test_signals_pass_through_rank_sh(bench: Bench, selector: selectors.BaseSelector) -> None:
    del selector
    stub = SHIM.with_name("rank.sh")
    folder = bench.folder
    code = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(6))"
    code += "; print('up', flush=True); time.sleep(300)"
    env = {
        "PMI_RANK": "3",
        "LAUNCHER_METRICS_FOLDER": ".",
        "LAUNCHER_PROCESS_LOGS": str(folder),
        "LAUNCHER_RANK_ENDS": str(folder),
    }
    process = subprocess.Popen(["sh", stub, sys.executable, "-c", code], env={**os.environ, **env})
    bench.until(lambda: (folder / "worker-3.log").exists() and "up" in (folder / "worker-3.log").read_text())
    assert (folder / "rank-3").read_text() == ""
    process.terminate()
    assert process.wait(60) == 6
    assert (folder / "rank-3").read_text() == "6\n"
