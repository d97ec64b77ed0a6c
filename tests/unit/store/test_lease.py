"""Of all that want to build the same thing, one does."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from launcher.agent.base import atomic_json, process_identity
from launcher.store import lease as module
from launcher.store.lease import Lease

if TYPE_CHECKING:
    from pathlib import Path

_HOLD = """
import sys, time
from pathlib import Path
from launcher.store.lease import Lease
lease = Lease(Path(sys.argv[1]), "x")
assert lease.try_take()
print("held", flush=True)
time.sleep(60)
"""


def hold(folder: Path) -> subprocess.Popen[str]:
    """Start a process that takes the lease and keeps it."""
    process = subprocess.Popen([sys.executable, "-c", _HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    process.stdout.close()
    return process


def test_only_one_takes_it(tmp_path: Path) -> None:
    first, second = Lease(tmp_path, "x"), Lease(tmp_path, "x")
    assert first.try_take()
    assert not second.try_take()
    assert first.holds()
    first.release()
    assert second.try_take()
    second.release()
    assert list(tmp_path.iterdir()) == []


def test_a_dead_holder_is_succeeded_and_leaves_nothing(tmp_path: Path) -> None:
    for _ in range(3):
        process = hold(tmp_path)
        assert not Lease(tmp_path, "x").try_take()
        process.kill()
        process.wait()
    heirs = [Lease(tmp_path, "x") for _ in range(8)]
    taken: list[Lease] = []

    def attempt(heir: Lease) -> None:
        if heir.try_take():
            taken.append(heir)

    threads = [threading.Thread(target=attempt, args=(heir,)) for heir in heirs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 1
    taken[0].release()
    assert list(tmp_path.iterdir()) == []


def test_a_late_heir_of_a_chain_that_was_released_does_not_win(tmp_path: Path) -> None:
    process = hold(tmp_path)
    process.kill()
    process.wait()
    dead = atomic_json.read(str(tmp_path / "x.json"))
    assert dead is not None
    heir = Lease(tmp_path, "x")
    assert heir.try_take()
    heir.release()
    present = Lease(tmp_path, "x")
    assert present.try_take()
    atomic_json.create(
        str(tmp_path / f"x.{dead['nonce']}.json"), {**process_identity.identity(), "nonce": "late"}
    )
    assert present.holds()
    present.release()


def test_a_holder_elsewhere_is_given_up_when_it_stops_beating(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STALE_S", 0.2)
    path = tmp_path / "x.json"
    away = {**process_identity.identity(), "host": "elsewhere", "boot": "another", "nonce": "away"}
    atomic_json.create(str(path), away)
    lease = Lease(tmp_path, "x")
    for _ in range(6):  # it beats: its clock may be far off ours
        assert not lease.try_take()
        time.sleep(0.05)
        changed = path.stat().st_mtime + 1000
        os.utime(path, (changed, changed))
    assert not lease.try_take()
    time.sleep(0.25)
    assert lease.try_take()
    lease.release()
    assert list(tmp_path.iterdir()) == []


def test_the_holder_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_S", 0.02)
    lease = Lease(tmp_path, "x")
    assert lease.try_take()
    before = (tmp_path / "x.json").stat().st_mtime_ns
    deadline = time.monotonic() + 5
    while (tmp_path / "x.json").stat().st_mtime_ns == before:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    lease.release()


def test_a_slow_builder_that_lives_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STALE_S", 0.0)
    builder = hold(tmp_path)
    found: list[str] = []
    steps: list[str] = []

    def step(text: str) -> None:
        steps.append(text)
        if len(steps) == 3:
            found.append("theirs")

    def make() -> str:
        raise AssertionError

    assert Lease(tmp_path, "x").once(lambda: found[0] if found else None, make, step, "Waiting") == "theirs"
    assert steps == ["Waiting (0 s)"] * 3
    builder.kill()
    builder.wait()


def test_whoever_waits_for_a_builder_that_is_killed_builds_in_its_place(tmp_path: Path) -> None:
    builder = hold(tmp_path)
    steps: list[str] = []

    def step(text: str) -> None:
        steps.append(text)
        if len(steps) == 2:
            builder.kill()
            builder.wait()

    made = Lease(tmp_path, "x").once(lambda: None, lambda: "mine", step, "Waiting")
    assert (made, len(steps)) == ("mine", 2)
    assert list(tmp_path.iterdir()) == []


def test_what_another_builder_finished_just_before_the_lease_is_not_built_again(tmp_path: Path) -> None:
    answers = iter([None, "theirs"])

    def make() -> str:
        raise AssertionError

    assert Lease(tmp_path, "x").once(lambda: next(answers), make, print, "Waiting") == "theirs"
    assert list(tmp_path.iterdir()) == []


def test_a_lease_whose_build_failed_is_free(tmp_path: Path) -> None:
    def make() -> str:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        Lease(tmp_path, "x").once(lambda: None, make, print, "Waiting")
    assert list(tmp_path.iterdir()) == []
