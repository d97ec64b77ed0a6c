"""Processes as Linux sees them, and the guard around a worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launcher.agent.base import processes

if TYPE_CHECKING:
    from launcher.agent.base.loop import Loop
    from tests.unit.agent.conftest import Bench

_GUARDED = """
import os, signal, subprocess, sys, time
sys.path[:0] = {path!r}
if "COVERAGE_PROCESS_CONFIG" in os.environ or "COVERAGE_PROCESS_START" in os.environ:
    import coverage
    coverage.process_startup()
from launcher.agent.base.guard import guarded

def work():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
    subprocess.Popen(["sleep", "4242"], start_new_session=True)
    subprocess.Popen(["env", "-i", "setsid", "sleep", "4242"])
    print("worker", os.getpid(), flush=True)
    how = sys.argv[1]
    if how == "break":
        raise RuntimeError("broken")
    if how == "exit":
        raise SystemExit("text")
    if how == "sleep":
        time.sleep(300)
    return int(how)

guarded(work, lambda: print("lost", flush=True), with_parent="parent" in sys.argv)
"""


class Guarded:
    """A guard, its worker, and what the worker started."""

    def __init__(self, folder: Path, entry: Path, how: str, *words: str) -> None:
        path = next(line for line in entry.read_text().splitlines() if line.startswith("sys.path[:0]"))
        script = folder / "guarded.py"
        script.write_text(_GUARDED.replace("sys.path[:0] = {path!r}", path))
        self.log = folder / "out"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", script, how, *words], stdout=out, stderr=out
            )

    def said(self, word: str) -> str | None:
        lines = [line for line in self.log.read_text().splitlines() if line.startswith(word)]
        return lines[0] if lines else None

    @property
    def worker(self) -> int:
        return int((self.said("worker") or "x 0").split()[1])


def sleepers(above: int) -> list[int]:
    """Return the `sleep 4242` below a process."""
    found: list[int] = []
    for pid in processes.descendants(above):
        try:
            if Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x004242\0":
                found.append(pid)
        except OSError:
            continue
    return found


@pytest.mark.parametrize(
    ("how", "code", "lost"), [("0", 0, False), ("7", 7, True), ("break", 1, True), ("exit", 1, True)]
)
def test_the_workers_end_is_the_guards(supervisors: Bench, how: str, code: int, lost: bool) -> None:
    guarded = Guarded(supervisors.folder, supervisors.entry, how)
    assert guarded.process.wait(60) == code
    assert bool(guarded.said("lost")) is lost
    assert ("RuntimeError: broken" in guarded.log.read_text()) is (how == "break")
    supervisors.until(lambda: not Path(f"/proc/{guarded.worker}").exists())


def test_a_killed_worker_leaves_nothing(tmp_path: Path, entry: Path, supervisors: Bench) -> None:
    guarded = Guarded(tmp_path, entry, "sleep")
    found = supervisors.until(
        lambda: guarded.said("worker") and (s := sleepers(guarded.process.pid))[1:] and s
    )
    os.kill(guarded.worker, signal.SIGKILL)
    assert guarded.process.wait(60) == 1
    assert guarded.said("lost")
    assert not any(Path(f"/proc/{pid}").exists() for pid in found)


def test_a_killed_guard_ends_the_worker(tmp_path: Path, entry: Path, supervisors: Bench) -> None:
    guarded = Guarded(tmp_path, entry, "sleep")
    found = supervisors.until(
        lambda: guarded.said("worker") and (s := sleepers(guarded.process.pid))[1:] and s
    )
    worker = guarded.worker
    guarded.process.kill()
    guarded.process.wait(60)
    supervisors.until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in [worker, *found]))
    assert not guarded.said("lost")


def test_signals_reach_the_worker(tmp_path: Path, entry: Path, supervisors: Bench) -> None:
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        guarded = Guarded(tmp_path, entry, "sleep")
        supervisors.until(lambda guarded=guarded: guarded.said("worker"))
        guarded.process.send_signal(signum)
        assert guarded.process.wait(60) == 5


def test_with_parent_it_ends_with_its_parent(tmp_path: Path, entry: Path, supervisors: Bench) -> None:
    middle = os.fork()
    if middle == 0:
        guarded = Guarded(tmp_path, entry, "sleep", "parent")
        (tmp_path / "pid").write_text(str(guarded.process.pid))
        signal.pause()
    said, pid = tmp_path / "out", tmp_path / "pid"
    try:
        supervisors.until(lambda: said.exists() and "worker" in said.read_text())
        guard = int(supervisors.until(lambda: pid.exists() and pid.read_text()))
    finally:
        os.kill(middle, signal.SIGKILL)
        os.waitpid(middle, 0)
    supervisors.until(lambda: not Path(f"/proc/{guard}").exists())


def test_descendants_are_found_at_any_depth(bench: Bench) -> None:
    process = subprocess.Popen(["sh", "-c", "sh -c 'sleep 300; :'; :"])
    found = bench.until(lambda: (below := processes.descendants(process.pid))[1:] and below)
    assert process.pid in processes.children()
    assert processes.parents()[found[0]] == process.pid
    processes.end_tree(process.pid)
    process.wait()
    bench.until(lambda: not Path(f"/proc/{found[1]}").exists() or bench.loop.reap(lambda _pid, _status: None))


def test_children_without_the_kernels_list(monkeypatch: pytest.MonkeyPatch) -> None:
    process = subprocess.Popen(["sleep", "300"])
    monkeypatch.setattr("builtins.open", _refuse_children)
    assert process.pid in processes.children()
    monkeypatch.undo()
    process.kill()
    process.wait()


_open = open


def _refuse_children(path: str, mode: str = "r") -> object:
    if str(path).endswith("/children"):
        raise FileNotFoundError(path)
    return _open(path, mode)


def test_marked_children_end_and_others_do_not(bench: Bench, loop: Loop) -> None:
    marked = subprocess.Popen(["sh", "-c", "sleep 300; :"], env={"PATH": os.environ["PATH"], "MARK": "x"})
    other = subprocess.Popen(["sleep", "300"], env={"PATH": os.environ["PATH"], "MARK": "xy"})
    processes.end_marked({b"MARK=x"})
    marked.wait(60)  # killed, or at its end because its child was killed first
    assert other.poll() is None
    other.kill()
    other.wait()
    del bench, loop


def test_what_is_gone_is_signalled_without_complaint() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    processes.send(process.pid, signal.SIGTERM)
    processes.send_group(process.pid, signal.SIGTERM)
    assert not processes.has_variable(process.pid, {b"A=b"})


def yes(*_: object) -> bool:
    return True


def test_stubborn_descendants_are_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    sent: list[object] = []

    def there(*_: object) -> list[int]:
        looked.append("all of us")
        return [os.getpid()]

    def send(*words: object) -> None:
        sent.append(words)

    monkeypatch.setattr(processes, "descendants", there)
    monkeypatch.setattr(processes, "send", send)
    processes.end_descendants(patience_s=0.5)
    assert len(looked) > 1
    assert sent == [(os.getpid(), signal.SIGKILL)] * len(looked)
    looked.clear()
    sent.clear()
    monkeypatch.setattr(processes, "children", there)
    monkeypatch.setattr(processes, "has_variable", yes)
    monkeypatch.setattr(processes, "end_tree", send)
    processes.end_marked({b"A=b"}, patience_s=0.5)
    assert len(looked) > 1
    assert sent == [(os.getpid(),)] * len(looked)
