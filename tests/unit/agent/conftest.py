"""Attempts of real processes, driven in the test's own process."""

from __future__ import annotations

import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from launcher.agent.base import atomic_json, process_identity
from launcher.agent.base.loop import Loop
from launcher.agent.base.processes import adopt_orphans, children
from launcher.agent.run.attempt import Attempt
from launcher.agent.targets.local import LocalTarget
from launcher.plan import Plan, Process
from launcher.spec import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).parents[3]

# What the store's agent is, but with this tree's code and, where coverage is measured, seen by it.
_ENTRY = """
import os, sys
sys.path[:0] = {path!r}
if "COVERAGE_PROCESS_CONFIG" in os.environ or "COVERAGE_PROCESS_START" in os.environ:
    import coverage
    coverage.process_startup()
from launcher.agent.main import main
main()
"""


class Bench:
    """Run folders, and what drives them."""

    def __init__(self, folder: Path, loop: Loop, entry: Path) -> None:
        self.folder = folder
        self.loop = loop
        self.entry = entry
        self.site = LocalTarget()

    def process(self, code: str, **fields: Any) -> Process:
        """Return a process of a plan that runs a piece of Python."""
        index = fields.setdefault("index", 0)
        rest: dict[str, Any] = {"role": "worker", "rank": index, "local_rank": index, "node": 0, **fields}
        return Process(argv=(sys.executable, "-c", code), **rest)

    def run(
        self, *processes: Process, name: str = "1", plan: dict[str, Any] | None = None, **fields: Any
    ) -> str:
        """Make a run folder as a launcher does; return its path."""
        run = self.folder / "mnist" / name
        (run / "source").mkdir(parents=True)
        (run / "source" / "data.txt").write_text("from the source")
        nodes = 1 + max((process.node for process in processes), default=0)
        made = plain(Plan(nodes=nodes, processes_per_node=1, processes=processes))
        resources = {"time_limit_min": None, "cpus_per_process": None, "gpus_per_node": 0}
        spec = {
            "plan": {**made, **(plan or {})},
            "resources": {**resources, **fields.pop("resources", {})},
            "work": "link",
            "env": {},
            "retries": 0,
            **fields,
        }
        environment: dict[str, Any] = {"python": sys.executable, "prefix": None, "env": {}}
        submit: dict[str, Any] = {
            "id": f"mnist/{name}",
            "environment": environment,
            "data": {},
            "owner": process_identity.identity(),
        }
        (run / "spec.json").write_text(json.dumps(spec))
        (run / "submit.json").write_text(json.dumps(submit))
        return str(run)

    def attempt(self, run: str, number: int = 0, of: str = "") -> Attempt:
        """Return an attempt that was started; `of`: the run whose records it has, if not its own."""
        spec: Any = atomic_json.read(f"{of or run}/spec.json") or {}
        submit: Any = atomic_json.read(f"{of or run}/submit.json") or {}
        spec["id"] = submit["id"]
        attempt = Attempt(run, number, spec, submit, [], self.loop.selector, self.site)
        attempt.start()
        return attempt

    def drive(
        self, attempt: Attempt, until: Callable[[], object] | None = None, limit_s: float = 60
    ) -> Attempt:
        """Serve an attempt until it is over, or something holds."""
        deadline = time.monotonic() + limit_s
        while attempt.outcome is None and not (until and until()):
            assert time.monotonic() < deadline, "not over in time"
            when = attempt.tick()
            if attempt.outcome is None:
                self.loop.wait(min(when, time.monotonic() + 0.05))
                self.loop.reap(attempt.reaped)
        return attempt

    def state(self, run: str, number: int = 0) -> dict[str, Any]:
        """Return the record of an attempt."""
        return atomic_json.read(f"{run}/attempts/{number}/state.json") or {}

    def supervise(self, *runs: str, **orders: Any) -> subprocess.Popen[bytes]:
        """Start a supervisor as a launcher does, and give it its orders."""
        log = self.folder / "supervisor.log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(self.entry), "supervise"],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        text = json.dumps({"runs": runs, "max_parallel": 2, "gpus": [], "log": str(log), **orders})
        assert process.stdin is not None
        with process.stdin as pipe:
            pipe.write(text.encode())
        return process

    @staticmethod
    def until(condition: Callable[[], Any], limit_s: float = 60) -> Any:
        """Return the first truthy value of a condition."""
        deadline = time.monotonic() + limit_s
        while not (value := condition()):
            assert time.monotonic() < deadline, "not in time"
            time.sleep(0.01)
        return value

    @staticmethod
    def marked(run: str) -> list[int]:
        """Return the processes that carry a mark of a run."""
        found: list[int] = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                if f"LAUNCHER_MARK={run}#".encode() in Path("/proc", name, "environ").read_bytes():
                    found.append(int(name))
            except OSError:
                continue
        return found


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    """Return what starts an agent of this tree."""
    path = [str(REPOSITORY), *(item for item in sys.path if "site-packages" in item)]
    file = tmp_path / "entry.py"
    file.write_text(_ENTRY.format(path=path))
    return file


@pytest.fixture
def loop() -> Iterator[Loop]:
    """Return a loop; this process is a subreaper as long as it is there."""
    signals = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)
    before = {signum: signal.getsignal(signum) for signum in signals}
    adopt_orphans()
    made = Loop()
    yield made
    made.close()
    for signum, handler in before.items():
        signal.signal(signum, handler)
    for pid in children():
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


@pytest.fixture
def bench(tmp_path: Path, loop: Loop, entry: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Attempts driven in this process."""
    monkeypatch.setattr(sys, "argv", [str(entry)])
    return Bench(tmp_path, loop, entry)


@pytest.fixture
def supervisors(tmp_path: Path, entry: Path) -> Bench:
    """Supervisors in processes of their own."""
    return Bench(tmp_path, None, entry)  # pyright: ignore[reportArgumentType]  # nothing is driven here


@pytest.fixture
def selector() -> Iterator[selectors.BaseSelector]:
    """Return a selector."""
    with selectors.DefaultSelector() as made:
        yield made
