"""Real launches through `python -m launcher`, each test with a store of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from launcher.agent.base import atomic_json, process_identity
from launcher.agent.base.tmp import attempt_mark, tmp_folder
from launcher.paths import RunFolder, StoreFolder
from launcher.spec import State
from launcher.store.runs import read_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from launcher.store.run_state import Run

REPOSITORY = Path(__file__).parents[2]
BEFORE = {State.NOT_STARTED, State.PREPARING, State.QUEUED, State.STARTING}
T = TypeVar("T")

TALKS = """\
import os, socket, sys, time
address = os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT'])
if os.environ['RANK'] == '0':
    with socket.create_server(('', address[1])) as server:
        print(server.accept()[0].recv(99).decode(), sys.executable)
else:
    while True:
        try:
            socket.create_connection(address, 5).send(socket.gethostname().encode())
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
"""
"""Rank 0 prints the host name of rank 1, which it hears from it, and its own Python."""

# For containers whose image has a shell alone.
TELLS = """\
echo "rank $RANK of $WORLD_SIZE on $(hostname), $SECRET_TEXT, uid $(id -u)"
cat input.txt
echo new >outputs/out-$RANK
[ $RANK = 0 ] || sleep 0.3
exit ${1-0}
"""

HANDLES = """\
trap 'echo told; exit 0' TERM
echo up
while :; do sleep 1000 & wait $!; done
"""


def until(condition: Callable[[], T | None], what: str, limit_s: float = 60) -> T:
    """Return the first truthy value of a condition."""
    deadline = time.monotonic() + limit_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {limit_s} s: {what}"
        time.sleep(0.02)
    return value


class Lab:
    """A source folder, a store, and launches of the one into the other."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "source"
        self.source.mkdir()
        self.store = StoreFolder(folder / "store")
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("LAUNCHER_")},
            "LAUNCHER_STORE": str(self.store.root),
            "LAUNCHER_CACHE": str(folder / "cache"),
        }
        self._started: list[subprocess.Popen[str]] = []

    until = staticmethod(until)

    def script(self, text: str, name: str = "script.py") -> str:
        """Write a script; return its name."""
        (self.source / name).write_text(text, encoding="utf-8")
        return name

    def line(self, *words: str) -> list[str]:
        """Return a command line that launches `script.py` of the source with this Python."""
        fixed = ["framework=python", "environment=current", "data=none"]
        first = [word for word in words if word == "-m"]
        rest = [word for word in words if word != "-m"]
        if not any(word.startswith("script=") for word in words):
            rest.append("script=script.py")
        return [sys.executable, "-m", "launcher", *first, *fixed, f"source={self.source}", *rest]

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Start a launch whose output is piped."""
        piped: dict[str, Any] = {"stdout": subprocess.PIPE, **options}
        return self._popen(self.line(*words), **piped)

    def popen(self, *words: str) -> subprocess.Popen[str]:
        """Start a command of the launcher."""
        return self._popen([sys.executable, "-m", "launcher", *words], stdout=subprocess.PIPE)

    def redirected(self, how: str, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a command line with a redirection of sh, such as `2>&-`."""
        process = self._popen(["sh", "-c", f'exec "$@" {how}', "sh", *argv], stdout=subprocess.PIPE)
        out, err = process.communicate(timeout=240)
        return subprocess.CompletedProcess(argv, process.returncode, out, err)

    def popen_in(self, argv: list[str], **descriptors: int) -> subprocess.Popen[str]:
        """Start a command line with these descriptors."""
        return self._popen(argv, **descriptors)

    def _popen(self, argv: list[str], **piped: Any) -> subprocess.Popen[str]:
        descriptors: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, **piped}
        process = subprocess.Popen(argv, cwd=REPOSITORY, env=self.env, text=True, **descriptors)
        self._started.append(process)
        return process

    def launch(self, *words: str, limit_s: float = 240) -> subprocess.CompletedProcess[str]:
        """Launch and wait."""
        process = self.start(*words)
        out, err = process.communicate(timeout=limit_s)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the launcher, such as `runs list`."""
        return subprocess.run(
            [sys.executable, "-m", "launcher", *words],
            cwd=REPOSITORY,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def run(self, number: int = 1) -> RunFolder:
        """Return the folder of a run."""
        return self.store.run("mnist", number)

    def over(self, folder: RunFolder, limit_s: float = 60) -> Run:
        """Wait for the end of a run."""

        def ended() -> Run | None:
            run = read_run(folder)
            return run if run.state.terminal else None

        return until(ended, f"end of {folder.id}", limit_s)

    def running(self, folder: RunFolder, text: str = "", limit_s: float = 60, rank: int = 0) -> Run:
        """Wait until a rank of a run has written a text to its log, and the record says that it runs."""

        def reached() -> Run | None:
            log = folder.logs / f"worker-{rank}.log"
            if not log.is_file() or text not in log.read_text():
                return None
            run = read_run(folder)
            return None if run.state in BEFORE else run  # a process may write before its start is recorded

        return until(reached, f"{text!r} in the log of {folder.id}", limit_s)

    def processes(self, folder: RunFolder) -> list[int]:
        """Return every process that belongs to a run: supervisor, agents, and what they started."""
        needles = (f"_MARK={folder.root}#".encode(), f"{folder.root}/".encode())
        found: list[int] = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                environ = Path("/proc", name, "environ").read_bytes()
                command = Path("/proc", name, "cmdline").read_bytes()
            except OSError:
                continue
            if needles[0] in environ or needles[1] in command:
                found.append(int(name))
        owner = (atomic_json.read(str(folder.submit)) or {}).get("owner")
        if owner and process_identity.is_alive(owner):
            found.append(int(owner["pid"]))
        return found

    def left_in_tmp(self, folder: RunFolder, attempts: int = 2, nodes: int = 3) -> list[str]:
        """Return the node-local folders of a run that are still there."""
        marks = [attempt_mark(str(folder.root), attempt) for attempt in range(attempts)]
        paths = [tmp_folder(f"{mark}#{node}") for mark in marks for node in range(nodes)]
        return [path for path in paths if Path(path).exists()]

    def clean_up(self) -> None:
        """End what a test left, by pid."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()
        for number in self.store.numbers("mnist"):
            for pid in self.processes(self.run(number)):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Launches of a test's own scripts."""
    made = Lab(tmp_path)
    yield made
    made.clean_up()
