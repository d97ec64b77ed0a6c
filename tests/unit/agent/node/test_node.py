"""One node's processes, by messages."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from launcher.agent.base.ports import PORTS
from launcher.agent.base.processes import children
from launcher.agent.base.tmp import OWN_TMP, tmp_folder
from launcher.agent.node.node import Node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from launcher.agent.base.loop import Loop
    from launcher.agent.messages import Ports


class Acting:
    """A node whose events are kept."""

    def __init__(self, folder: Path, loop: Loop) -> None:
        self.events: list[Any] = []
        self.mark = f"{folder}#0#0"
        self.node = Node(self.mark, self.events.append)
        self._folder = folder
        self._loop = loop

    def message(self, *argv: str, name: str = "worker-0", **fields: Any) -> Any:
        log = str(self._folder / f"{name}.log")
        env = {"LAUNCHER_MARK": self.mark, **fields.pop("env", {})}
        return {
            "name": name,
            "argv": argv,
            "env": env,
            "path_prefix": None,
            "cwd": str(self._folder),
            "log": log,
        } | fields

    def start(self, *argv: str, **fields: Any) -> dict[str, Any]:
        self.node.handle({"do": "start", "processes": [self.message(*argv, **fields)]})
        return self.events[-1]

    def serve(self, until: Callable[[], object], limit_s: float = 60) -> None:
        deadline = time.monotonic() + limit_s
        while not until():
            assert time.monotonic() < deadline, self.events
            self.node.tick()
            self._loop.wait(min(self.node.deadline or deadline, time.monotonic() + 0.05))
            self._loop.reap(self.node.reaped)

    def log(self, name: str = "worker-0") -> str:
        return (self._folder / f"{name}.log").read_text()


@pytest.fixture
def acting(tmp_path: Path, loop: Loop) -> Iterator[Acting]:
    made = Acting(tmp_path, loop)
    yield made
    made.node.close()
    made.serve(lambda: made.node.idle)


def ports(*names: str, among: tuple[int, int] = PORTS, paths: tuple[str, ...] = ()) -> Any:
    rest = {"stage": None, "box": None, "step": False}
    return {"do": "prepare", "names": names, "range": among, "paths": paths, **rest}


def python(code: str) -> tuple[str, ...]:
    return sys.executable, "-c", code


def test_a_process_gets_its_secrets_and_no_more(acting: Acting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_LAUNCHER_SECRET_A", "@{secret.B} '$x'\n")
    monkeypatch.setenv("SLURM_LAUNCHER_SECRET_B", "b")
    shown = "import os; print([(k, v) for k, v in os.environ.items() if 'SECRET' in k], os.environ['X'])"
    acting.start(*python(shown), env={"X": "<@{secret.A}>"})
    acting.serve(lambda: acting.node.idle)
    assert acting.log() == "[] <@{secret.B} '$x'\n>\n"
    event = acting.start("true", env={"X": "@{secret.A}", "Y": "@{secret.GONE}"})
    here = os.uname().nodename
    told = f"true: the secret GONE did not come to {here}. Let runs rerun start it, which reads it anew"
    assert (event["event"], event["message"]) == ("refused", told)


def test_a_process_runs_in_its_folder_with_its_log_and_nothing_to_read(
    acting: Acting, tmp_path: Path
) -> None:
    event = acting.start(
        *python("import os, sys; print(os.getcwd(), repr(sys.stdin.read()), flush=True); os.write(2, b'e')")
    )
    assert event == {"event": "started", "name": "worker-0", "pid": event["pid"]}
    acting.serve(lambda: acting.node.idle)
    ended = {"exit_code": 0, "signal": None, "out_of_memory": False, "reason": None, "grace_s": None}
    assert acting.events[-1] == {"event": "exited", "name": "worker-0", **ended}
    assert sorted(acting.log().splitlines()) == sorted([f"{tmp_path} ''", "e"])
    assert (tmp_path / "worker-0.log").stat().st_mode & 0o777 == 0o600


def test_exit_codes_and_signals_are_told_apart(acting: Acting) -> None:
    acting.start(*python("raise SystemExit(7)"), name="a")
    acting.start(*python("import os; os.kill(os.getpid(), 9)"), name="b")
    acting.serve(lambda: acting.node.idle)
    ended = {
        event["name"]: (event["exit_code"], event["signal"])
        for event in acting.events
        if "exit_code" in event
    }
    assert ended == {"a": (7, None), "b": (None, 9)}
    assert not acting.node.reaped(1, 0)


@pytest.mark.parametrize(
    ("argv", "fields", "why"),
    [
        (("no-such-program",), {}, "no-such-program: no such program"),
        (("/",), {}, "Permission denied"),
        (("true",), {"cwd": "/no/such/folder"}, "/no/such/folder"),
        (("true",), {"log": "/no/such/folder/log"}, "/no/such/folder/log"),
        (("true", "\0"), {}, "null byte"),
        (("true",), {"env": {"A": "\0"}}, "null byte"),
    ],
)
def test_what_cannot_be_started_is_refused(
    acting: Acting, argv: tuple[str, ...], fields: dict[str, Any], why: str
) -> None:
    event = acting.start(*argv, **fields)
    assert event["event"] == "refused"
    assert why in event["message"]
    assert acting.node.idle


def test_arguments_are_no_shell_words(acting: Acting) -> None:
    odd = ["a b", "$HOME", "'\"`;|&", "ä\n\t", "\udcff", ""]
    acting.start(
        *python("import os, sys; os.write(1, repr(list(map(os.fsencode, sys.argv[1:]))).encode())"), *odd
    )
    acting.serve(lambda: acting.node.idle)
    assert acting.log() == repr([os.fsencode(item) for item in odd])


def test_what_ends_by_term_is_not_killed(acting: Acting) -> None:
    code = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(3))"
    code += "; print('up', flush=True); time.sleep(60)"
    acting.start(*python(code))
    acting.serve(lambda: "up" in acting.log())
    acting.node.handle({"do": "end", "grace": 60})
    acting.serve(lambda: acting.node.idle)
    assert acting.events[-1]["exit_code"] == 3


def test_what_ignores_term_is_killed_after_the_grace(acting: Acting) -> None:
    code = """
import signal, subprocess, time
signal.signal(15, signal.SIG_IGN)
subprocess.Popen(["sleep", "300"], start_new_session=True)
print("up", flush=True)
time.sleep(300)
"""
    acting.start(*python(code))
    acting.serve(lambda: "up" in acting.log())
    began = time.monotonic()
    acting.node.handle({"do": "end", "grace": 30})
    acting.node.handle({"do": "end", "grace": 0.3})
    acting.node.handle({"do": "end", "grace": 30})  # a later word gives no more time
    acting.serve(lambda: acting.node.idle)
    assert 0.3 <= time.monotonic() - began < 20
    assert acting.events[-1]["signal"] == signal.SIGKILL


def test_daemons_that_detached_themselves_are_found_by_their_mark(acting: Acting) -> None:
    code = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("daemon", os.getpid(), flush=True)
        time.sleep(300)
    os._exit(0)
os.wait()
"""
    acting.start(*python(code))
    acting.serve(lambda: acting.node.idle and "daemon" in acting.log())
    pid = int(acting.log().split()[1])
    acting.serve(lambda: pid in children())
    acting.node.close()
    acting.serve(lambda: not Path(f"/proc/{pid}").exists())


def test_close_kills_what_still_runs_and_frees_everything(acting: Acting) -> None:
    acting.start("sleep", "300", env={"TMPDIR": OWN_TMP})
    assert Path(tmp_folder(acting.mark), "job").is_dir()
    acting.node.handle(ports("a"))
    port = acting.events[-1]["ports"]["a"]
    acting.node.close()
    acting.serve(lambda: acting.node.idle)
    assert not Path(tmp_folder(acting.mark)).exists()
    with socket.socket() as free:
        free.bind(("", port))


def test_a_folder_that_somebody_else_made_is_not_used(acting: Acting, tmp_path: Path) -> None:
    theirs = Path(tmp_folder(acting.mark))
    theirs.symlink_to(tmp_path)
    try:
        acting.start("true", env={"TMPDIR": OWN_TMP})
        [event] = [event for event in acting.events if event["event"] == "refused"]
        assert "is not a private folder of this user; remove it" in event["message"]
        assert list(tmp_path.glob("job")) == []
    finally:
        theirs.unlink()


def test_a_daemon_of_mpirun_stays_in_the_foreground_with_a_folder_of_its_own(acting: Acting) -> None:
    process = acting.message(name="daemon-1", env={"TMPDIR": OWN_TMP})
    command = 'echo "$TMPDIR" --daemonize --daemonize'
    acting.node.handle({"do": "daemon", "process": process, "command": command})
    acting.serve(lambda: acting.node.idle)
    assert acting.log("daemon-1").split() == [f"{tmp_folder(acting.mark)}/daemon", "--daemonize"]


def test_ports_are_held_so_that_two_agents_never_pick_the_same(acting: Acting) -> None:
    among = (31000, 31020)
    taken: list[int] = []
    other = Node("other#0#0", lambda event: taken.extend(cast("Ports", event)["ports"].values()))
    for _ in range(4):
        acting.node.handle(ports("a", "b", among=among))
        other.handle(ports("a", among=among))
    mine = [port for event in acting.events for port in event["ports"].values()]
    other.close()
    assert len({*mine, *taken}) == len(mine) + len(taken) == 12
    assert PORTS[0] >= 1024
    assert PORTS[1] <= int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])


def test_no_free_port_is_told(acting: Acting) -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        acting.node.handle(ports("a", among=(port, port + 1)))
    assert acting.events[-1]["event"] == "refused"
    assert "no free port" in acting.events[-1]["message"]


def test_paths_that_a_node_does_not_see_are_told(
    acting: Acting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launcher.agent.base.shared_fs.PATIENCE_S", 0.2)
    acting.node.handle(ports("a", paths=(str(tmp_path), str(tmp_path / "env"), "/no/such/data")))
    acting.serve(lambda: acting.events)
    event = acting.events[-1]
    assert (event["event"], event["name"]) == ("refused", "")
    assert event["message"] == f"{os.uname().nodename} does not see {tmp_path}/env, /no/such/data"


def test_a_path_that_appears_in_time_is_waited_for(acting: Acting, tmp_path: Path) -> None:
    acting.node.handle(ports("a", paths=(str(tmp_path / "late"),)))
    assert acting.events == []
    (tmp_path / "late").touch()
    acting.serve(lambda: acting.events)
    assert acting.events[-1]["event"] == "ports"


def test_the_end_of_a_run_ends_the_wait_for_paths(acting: Acting) -> None:
    acting.node.handle(ports("a", paths=("/no/such/data",)))
    acting.node.handle({"do": "end", "grace": 1.0})
    acting.node.tick()
    assert acting.events == []
    assert acting.node.idle


def test_a_warning_reaches_only_what_handles_the_signal(acting: Acting, tmp_path: Path) -> None:
    told = """
import os, signal, sys, time
signal.signal(signal.SIGUSR1, lambda *_: os.write(1, f"{sys.argv[1]} told\\n".encode()))
print(sys.argv[1], "up", flush=True)
while True:
    time.sleep(0.1)
"""
    plain = "import time; print('plain up', flush=True); time.sleep(300)"
    (tmp_path / "told.py").write_text(told)
    (tmp_path / "mpirun").symlink_to("/bin/sh")
    below = f"{sys.executable} told.py below & {sys.executable} -c {shlex.quote(plain)} & wait"
    mpirun = "trap 'echo mpirun told' USR1; echo mpirun up; while :; do sleep 0.1; done"
    acting.start(sys.executable, "told.py", "above", name="a")
    acting.start("bash", "-c", below, name="b")
    acting.start(str(tmp_path / "mpirun"), "-c", mpirun, name="c")
    acting.serve(lambda: "up" in acting.log("a") and acting.log("b").count("up") == 2)
    acting.serve(lambda: "up" in acting.log("c"))
    acting.node.handle({"do": "warn", "signal": int(signal.SIGUSR1)})
    acting.serve(lambda: "told" in acting.log("a") and "told" in acting.log("b"))
    time.sleep(0.3)  # for what must not come
    acting.serve(lambda: True)
    assert [acting.log(name).count("told") for name in "abc"] == [1, 1, 0]
    assert not [event for event in acting.events if event["event"] == "exited"]


def test_a_process_can_listen_on_a_held_port_and_is_awaited(acting: Acting) -> None:
    acting.node.handle(ports("a"))
    port = acting.events[-1]["ports"]["a"]
    acting.node.handle({"do": "await", "port": port})
    acting.node.tick()
    assert acting.events[-1]["event"] == "ports"  # held is not listening
    code = """
import socket, sys, time
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("", int(sys.argv[1])))
server.listen()
time.sleep(300)
"""
    acting.start(*python(code), str(port))
    acting.serve(lambda: acting.events[-1]["event"] == "listening")
    assert acting.events[-1] == {"event": "listening", "port": port}
    assert acting.node.deadline is None
