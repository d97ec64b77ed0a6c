"""Containers and engines that are stopped in order: scripts have their grace time, causes say who did it."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from launcher.spec import State
from tests.integration.conftest import until
from tests.integration.docker.lab import SLEEPS, TWO, Boxed, processes

if TYPE_CHECKING:
    from launcher.paths import RunFolder

SAVES = """\
trap 'sleep 4; echo saved >outputs/saved-$RANK; exit %d' TERM
echo up
while :; do sleep 0.1; done
"""


def begin(lab: Boxed, text: str, *words: str, ranks: int = 1) -> RunFolder:
    """Start a run and wait for its first lines."""
    lab.launch(lab.shell(text), *words, "wait=false")
    for rank in range(ranks):
        lab.running(lab.run(), "up", rank=rank)
    return lab.run()


def stop(lab: Boxed, host: str = "node0") -> None:
    """Stop a container as `docker stop` does, which waits for 10 s before it kills."""
    api: Any = lab.engine.client().api
    [box] = [box["Id"] for box in lab.boxes() if box["Config"]["Hostname"] == host]
    api.stop(box)


@pytest.mark.parametrize("code", [0, 3])
def test_docker_stop_of_a_container(lab: Boxed, code: int) -> None:
    """Both ranks of the node save for longer than the agent's own grace; the run is not Completed."""
    folder = begin(lab, SAVES % code, "distribution=torch", "processes_per_node=2", ranks=2)
    stop(lab)
    assert lab.over(folder).state is State.FAILED
    assert lab.cause(folder).startswith("Failed container_lost: ")
    assert "the container of node0 was stopped from outside" in lab.cause(folder)
    assert {path.name for path in folder.outputs.iterdir()} == {"saved-0", "saved-1"}
    lab.nothing_left()


def test_a_script_that_ended_before_the_stop_completed(lab: Boxed) -> None:
    """Its agent hears of both together."""
    folder = begin(lab, "echo up; until [ -e outputs/go ]; do sleep 0.1; done; echo over")
    supervisor = processes(lab, folder)["supervisor"]
    api: Any = lab.engine.client().api
    [box] = [box["Id"] for box in lab.boxes()]
    first = len(api.top(box)["Processes"])
    os.kill(supervisor, signal.SIGSTOP)
    try:
        (folder.outputs / "go").touch()
        until(lambda: "over" in lab.log(), "its last line")
        until(lambda: len(api.top(box)["Processes"]) < first, "its end")
        stop(lab)
    finally:
        os.kill(supervisor, signal.SIGCONT)
    assert lab.over(folder).state is State.COMPLETED, lab.cause(folder)
    lab.nothing_left()


def test_docker_stop_of_one_of_two(lab: Boxed) -> None:
    folder = begin(lab, SLEEPS, *TWO, ranks=2)
    stop(lab, "node1")
    assert lab.over(folder).state is State.FAILED
    assert "the container of node1 was stopped from outside" in lab.cause(folder)
    lab.nothing_left()


def test_docker_stop_of_a_script_that_does_not_end(lab: Boxed) -> None:
    folder = begin(lab, "trap '' TERM; echo up; while :; do sleep 0.1; done")
    stop(lab)
    assert lab.over(folder).state is State.FAILED
    assert "the container" in lab.cause(folder)
    assert "stopped from outside" in lab.cause(folder)
    lab.nothing_left()


def test_the_engine_stops_in_order(lab: Boxed) -> None:
    folder = begin(lab, SAVES % 3, *TWO, ranks=2)
    lab.engine.stop()
    try:
        assert lab.over(folder, 90).state is State.FAILED
    finally:
        lab.engine.start()
    assert "the engine stopped" in lab.cause(folder)
    assert lab.cause(folder).startswith("Failed engine_lost: ")
    assert {path.name for path in folder.outputs.iterdir()} == {"saved-0", "saved-1"}
    until(lambda: lab.engine.containers() == lab.before, "no container left")
    lab.launch(lab.shell("true"))  # removes the network, which could not be removed then
    lab.nothing_left()
