"""Nothing of a command outlives whoever asked for it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from launcher.agent.base.guard import guarded_argv
from launcher.agent.base.processes import descendants

TREE = "setsid sh -c 'sleep 300 & sleep 300' & (sleep 300 &) ; echo started; sleep 300"
"""Children in another session, and an orphan."""


def start(*command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(guarded_argv([*command]), stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def gone(pids: list[int]) -> bool:
    """Wait until the processes ended; a zombie that nobody reaps has ended too."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if not any(_runs(pid) for pid in pids):
            return True
        time.sleep(0.02)
    return False


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("(sleep 300 &) ; exit 3", 3)]
)
def test_the_exit_code_is_the_commands(script: str, code: int) -> None:
    process = start("sh", "-c", script)
    assert process.wait(10) == code
    close(process)


def test_a_command_that_is_not_there() -> None:
    process = start("nonesuch-command")
    assert process.wait(10) == 127
    close(process)


@pytest.mark.parametrize("victim", ["asker", "outer", "inner", "term"])
def test_everything_ends_with_any_of_them(victim: str) -> None:
    process = start("sh", "-c", TREE)
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == b"started\n"
    time.sleep(0.1)
    below = descendants(process.pid)
    assert len(below) >= 5
    if victim == "asker":
        process.stdin.close()
    elif victim == "outer":
        process.kill()
    elif victim == "inner":
        os.kill(below[0], signal.SIGKILL)
    else:
        process.terminate()
    process.wait(10)
    assert gone(below)
    close(process)
