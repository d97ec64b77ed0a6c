"""`kill -9` in runs with containers, at random times: nothing is left in the engine, and no run undecided.

LAUNCHER_KILLS says how many in all, LAUNCHER_SEED repeats a sequence.
"""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import pytest
from docker.errors import APIError

from launcher.spec import State
from launcher.store.runs import read_run
from tests.integration.conftest import until
from tests.integration.docker.lab import SLEEPS, Boxed, processes

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.paths import RunFolder

KILLS: Final = int(os.environ.get("LAUNCHER_KILLS", "12"))
SEED: Final = int(os.environ.get("LAUNCHER_SEED", "0")) or random.randrange(1, 10**6)  # noqa: S311  # a seed
WAITS: Final = "echo up; until [ -e outputs/go ]; do sleep 0.1; done; echo over"
SHORT: Final = 'echo up; sleep 1.$((RANK + 2)); echo "done" >outputs/out-$RANK'


def kill(*pids: int) -> None:
    """Kill processes that may be gone."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def begin(lab: Boxed, text: str = SLEEPS) -> RunFolder:
    """Start a run of two nodes and wait for its first line."""
    known = set(lab.store.numbers("mnist"))
    lab.launch(lab.shell(text), "distribution=torch", "nodes=2", "wait=false")
    folder = lab.run(max(set(lab.store.numbers("mnist")) - known))
    for rank in range(2):
        log = folder.logs / f"worker-{rank}.log"
        until(lambda log=log: log.exists() and "up" in log.read_text(), f"rank {rank} is up")
    until(lambda: read_run(folder).state is State.RUNNING, "both were heard of")
    return folder


@pytest.mark.parametrize(
    ("whom", "told"),
    [
        (("supervisor",), "the supervisor was killed"),
        (("guard",), "the process that guards the supervisor was killed"),
        (("guard", "supervisor"), "the supervisor of this run is gone"),
        (("supervisor", "helper"), "the supervisor was killed"),
    ],
)
def test_who_looks_after_a_run_is_killed(lab: Boxed, whom: tuple[str, ...], told: str) -> None:
    folder = begin(lab)
    there = processes(lab, folder)
    kill(*(there[name] for name in whom))
    run = lab.over(folder)
    assert run.state is State.FAILED
    assert run.cause is not None
    assert told in run.cause.message
    lab.nothing_left()
    until(lambda: not lab.left_in_tmp(folder), "no folder left")


def test_all_that_look_after_a_run_are_killed_at_once(lab: Boxed) -> None:
    """Its boxes end with the pipe that they live by; the network goes with the next launch."""
    folder = begin(lab)
    kill(*processes(lab, folder).values())
    assert lab.over(folder).state is State.FAILED
    until(lambda: lab.engine.containers() == lab.before, "no container left", 30)
    assert lab.launch(lab.shell("true")).returncode == 0
    lab.nothing_left()
    until(lambda: not lab.left_in_tmp(folder), "no folder left")


def test_the_way_to_the_engine_is_killed(lab: Boxed) -> None:
    """A run goes on without it; another is started for what comes next."""
    folder = begin(lab, WAITS)
    kill(processes(lab, folder)["helper"])
    (folder.outputs / "go").touch()
    assert lab.over(folder).state is State.COMPLETED
    assert lab.log().endswith("over\n")
    lab.nothing_left()


def test_the_engine_is_killed_and_started_again(lab: Boxed) -> None:
    folder = begin(lab)
    lab.engine.kill()
    try:
        time.sleep(1)
        assert read_run(folder).state is State.RUNNING  # its processes run on
    finally:
        lab.engine.start()  # which ends them
    assert lab.over(folder).state is State.FAILED
    assert "engine" in lab.cause(folder)
    lab.nothing_left()
    assert lab.launch(lab.shell("true")).returncode == 0


def test_a_run_ends_while_the_engine_is_away(lab: Boxed) -> None:
    folder = begin(lab, WAITS)
    lab.engine.kill()
    try:
        (folder.outputs / "go").touch()
        for rank in range(2):
            until(lambda rank=rank: "over" in lab.log(rank), f"the last line of rank {rank}")
    finally:
        lab.engine.start()
    assert lab.over(folder, 120).state is State.COMPLETED
    lab.nothing_left()


def test_no_engine_at_all(lab: Boxed) -> None:
    """A run whose engine does not come back ends, and says so."""
    folder = begin(lab)
    lab.engine.kill()
    try:
        lab.command("runs", "cancel", folder.id)
        assert lab.over(folder, 120).state is State.CANCELED
    finally:
        lab.engine.start()
    lab.launch(lab.shell("true"))  # removes what could not be removed then
    lab.nothing_left()


def _tell(text: str) -> None:
    print(text)  # noqa: T201  # to repeat what went wrong


def _victims(lab: Boxed, folder: RunFolder) -> dict[str, Callable[[], object]]:
    there = processes(lab, folder)
    found: dict[str, Callable[[], object]] = {name: lambda pid=pid: kill(pid) for name, pid in there.items()}
    if {"guard", "supervisor"} <= set(there):
        found["both"] = lambda: kill(there["guard"], there["supervisor"])

    def engine() -> None:
        lab.engine.kill()
        lab.engine.start()

    found["engine"] = engine
    api: Any = lab.engine.client().api
    listed = api.containers(filters={"label": "launcher.run"})
    if listed:
        found["container"] = lambda: _remove(api, listed[0]["Id"])
    return found


def _remove(api: Any, container: str) -> None:
    with suppress(APIError):  # it may be gone by now, or going
        api.remove_container(container, force=True)


@pytest.mark.slow
def test_killed_at_any_time(lab: Boxed) -> None:
    """One in five is the engine, which takes two seconds to come back."""
    _tell(f"seed {SEED}")
    chance = random.Random(SEED)  # noqa: S311  # times, not secrets
    command = lab.shell(SHORT)
    counts: dict[str, int] = {}
    for number in range(1, KILLS + 1):
        lab.launch(command, "distribution=torch", "nodes=2", "wait=false")
        folder = lab.run(number)
        time.sleep(chance.random() * 2.5)
        victims = _victims(lab, folder)
        name = chance.choice(sorted(victims))
        victims[name]()
        state = lab.over(folder, 120).state
        counts[f"{name}: {state}"] = counts.get(f"{name}: {state}", 0) + 1
        if name == "engine" or read_run(folder).state is not State.COMPLETED:
            lab.nothing_left(60)
    _tell(str(counts))
    lab.launch(command)
    lab.nothing_left()
    assert sorted(lab.store.numbers("mnist")) == list(range(1, KILLS + 2))
    runs = [lab.run(number) for number in range(1, KILLS + 2)]
    until(lambda: not [left for run in runs for left in lab.left_in_tmp(run)], "no folder left")
