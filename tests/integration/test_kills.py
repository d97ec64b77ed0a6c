"""`kill -9` at random times: no orphan, no run that stays undecided, no number used again.

LAUNCHER_KILLS says how many in all, LAUNCHER_SEED repeats a sequence.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import pytest

from launcher.agent.base import atomic_json
from launcher.agent.base.processes import parents
from launcher.spec import State
from launcher.store.runs import read_run, request_cancel

if TYPE_CHECKING:
    import subprocess

    from launcher.paths import RunFolder
    from launcher.store.run_state import Run
    from tests.integration.conftest import Lab

# Every rank leaves a child, a daemon that detached itself, and one that also dropped its environment.
_SCRIPT = """
import os, subprocess, time
subprocess.Popen(["sleep", "300"])
subprocess.Popen(["sleep", "300"], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve("/bin/sleep", ["sleep", os.environ["TAG"]], {})
    os._exit(0)
print("up", flush=True)
time.sleep(300)
"""

_MPI: Final = shutil.which("mpirun") is not None
_ONE: Final = (("distribution=single",), ("distribution=torch", "processes_per_node=2"))
_TWO: Final = (("distribution=torch", "nodes=2"),) + (
    (("distribution=mpi", "nodes=2"), ("distribution=mpi", "nodes=2", "processes_per_node=2")) if _MPI else ()
)

# What is killed, and in which kinds of run it is there.
_TARGETS: Final = {
    "launcher": (*_ONE, *_TWO),
    "guard": (*_ONE, *_TWO),
    "worker": (*_ONE, *_TWO),
    "agent": _TWO,
    "agent's guard": _TWO,
    "rank": (*_ONE, *_TWO),
    "mpirun or daemon": _TWO[1:],
}
KILLS: Final = int(os.environ.get("LAUNCHER_KILLS", "60"))
SEED: Final = int(os.environ.get("LAUNCHER_SEED", "0")) or random.randrange(1, 10**6)  # noqa: S311  # a seed


def _command(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
    except OSError:
        return []


def _name(pid: int) -> str:
    return Path(os.fsdecode((_command(pid) or [b""])[0])).name


def _candidates(folder: RunFolder, target: str) -> list[int]:
    """Return the processes of a run that are what is to be killed."""
    owner = (atomic_json.read(str(folder.submit)) or {}).get("owner")
    guard = int(owner["pid"]) if owner else 0
    if _command(guard)[-1:] != [b"supervise"]:
        return []  # still the launcher, or over
    below: dict[int, list[int]] = {}
    for pid, parent in parents().items():
        below.setdefault(parent, []).append(pid)
    workers = [pid for pid in below.get(guard, []) if _command(pid)[-1:] == [b"supervise"]]
    agent_guards = _agents(workers, below)
    agents = _agents(agent_guards, below)
    known = {"guard": [guard], "worker": workers, "agent": agents, "agent's guard": agent_guards}
    if target in known:
        return known[target]
    tops = [pid for agent in (*workers, *agents) for pid in below.get(agent, [])]
    tops += [pid for top in tops if _name(top) == "sh" for pid in below.get(top, [])]  # sh -c orted
    mpi = [pid for pid in tops if _name(pid) in {"mpirun", "orted"}]
    if target == "mpirun or daemon":
        return mpi
    stubs = [pid for agent in (*mpi, *agents) for pid in below.get(agent, []) if _name(pid) == "sh"]
    stubs = [pid for pid in stubs if b"script.py" in _command(pid)]
    programs = [pid for stub in stubs for pid in below.get(stub, [])]
    # What a rank forked has its command line until it executes another; only the rank leads a session.
    ranks = [pid for pid in tops if _command(pid)[-1:] == [b"script.py"] and _leads(pid) and pid not in mpi]
    return [*stubs, *programs, *ranks]


def _agents(above: list[int], below: dict[int, list[int]]) -> list[int]:
    return [pid for top in above for pid in below.get(top, []) if _command(pid)[-1:] == [b"node"]]


def _leads(pid: int) -> bool:
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


def _scrubbed(tag: str) -> list[int]:
    """Return the daemons that dropped their environment."""
    wanted = [b"sleep", tag.encode()]
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _command(int(name)) == wanted]


def _newest(lab: Lab, known: set[int]) -> RunFolder | None:
    new = set(lab.store.numbers("mnist")) - known
    return lab.run(max(new)) if new else None


class _Numbers:
    """Which run each number was given to."""

    def __init__(self) -> None:
        self._seen: dict[int, str] = {}

    def check(self, lab: Lab) -> set[int]:
        for number in lab.store.numbers("mnist"):
            submit = atomic_json.read(str(lab.run(number).submit)) or {}
            content = f"{submit.get('created')} {submit.get('overrides')}"
            assert self._seen.setdefault(number, content) == content, f"mnist/{number} was used again"
        return set(self._seen)


def _tell(*words: object) -> None:
    print(*words)  # noqa: T201  # how to repeat it, and the counts


def _kill(
    lab: Lab, launch: subprocess.Popen[str], target: str, known: set[int], chance: random.Random
) -> bool:
    """Kill a target at a random time; tell whether there was one."""
    if target == "launcher":
        if chance.random() < 0.8:  # else also before there is a run
            lab.until(lambda: _newest(lab, known), "a number")
        time.sleep(chance.uniform(0, 0.4))
        launch.kill()
        return True
    lab.until(lambda: (folder := _newest(lab, known)) and _candidates(folder, target), f"a {target}")
    time.sleep(chance.uniform(0, 0.5))
    folder = _newest(lab, known)
    assert folder is not None
    found = _candidates(folder, target)
    if found:
        os.kill(chance.choice(found), signal.SIGKILL)
    else:  # mpirun replaces what it starts with
        request_cancel(folder)
    return bool(found)


def _settle(lab: Lab, folder: RunFolder, tag: str) -> Run:
    """Wait for the end of a run and of everything that it started."""
    run = lab.over(folder)
    lab.until(lambda: not lab.processes(folder), f"{folder.id}: end of its processes")
    lab.until(lambda: not _scrubbed(tag), f"{folder.id}: end of its daemons")
    lab.until(lambda: not lab.left_in_tmp(folder), f"{folder.id}: end of its temporary files")
    return run


@pytest.mark.slow
@pytest.mark.parametrize("target", list(_TARGETS))
def test_random_kills(lab: Lab, target: str) -> None:
    if not _TARGETS[target]:
        pytest.skip("no mpirun on PATH")
    _tell(f"LAUNCHER_SEED={SEED} LAUNCHER_KILLS={KILLS} target={target}")
    chance = random.Random(f"{SEED} {target}")  # noqa: S311  # repeatable
    lab.script(_SCRIPT)
    numbers, killed = _Numbers(), 0
    for _ in range(-(-KILLS // len(_TARGETS))):
        known = numbers.check(lab)
        words = chance.choice(_TARGETS[target])
        tag = f"{3600 + uuid4().int % 10**9}"
        launch = lab.start(*words, f"env.TAG={tag}")
        killed += _kill(lab, launch, target, known, chance)
        code = launch.wait(60)
        launch.communicate()
        folder = _newest(lab, known)
        if folder is None or not folder.submit.exists():
            assert target == "launcher"
            continue
        if target == "launcher" and not read_run(folder).state.terminal:
            request_cancel(folder)
        run = _settle(lab, folder, tag)
        assert run.cause is not None
        _tell(*words, "->", run.state, run.cause.message)
        assert run.state in {State.FAILED, State.CANCELED}
        assert code == (-signal.SIGKILL if target == "launcher" else 1)
    numbers.check(lab)
    _tell(f"killed {target}: {killed}")
    assert killed
