"""Containers that an engine keeps: what is reported of processes in them, as the engine answers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

import pytest

from launcher.agent.containers import docker
from launcher.agent.containers.docker import DockerContainer

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.agent.containers.engine_client import Engine, Hear
    from launcher.agent.messages import Event

WANTED: dict[str, Any] = {
    "container": {"runtime": "docker", "image": "a"}, "run": "mnist/1", "mounts": [], "gpus": [],
    "agent": "/agents/d/agent", "python": "", "prefix": "", "hostname": "node0", "network": None,
}  # fmt: skip


class StandInEngine:
    """Keeps what it is asked; a test answers."""

    token, user, groups, login, remapped, lost = "token", "0:0", (), "root", False, None

    def __init__(self) -> None:
        self.asked: list[tuple[dict[str, Any], Hear]] = []
        self.tell: Hear = lambda _: None

    def ask(self, request: dict[str, Any], hear: Hear) -> None:
        self.asked.append((request, hear))

    def listen(self, _box: str, hear: Hear) -> None:
        self.tell = hear

    def answer(self, what: str, answer: dict[str, Any]) -> None:
        next(hear for request, hear in self.asked if request["do"] == what)(answer)


class Started:
    """A container whose engine was asked to start one process."""

    def __init__(self, folder: Path) -> None:
        self.engine = StandInEngine()
        self.events: list[Any] = []

        def report(event: Event | None) -> None:
            if event is not None:
                self.events.append(event)

        self.box = DockerContainer(WANTED, str(folder / "box"), cast("Engine", self.engine), report)
        self.box.begin(lambda problem, _: self.events.append({"event": "ready", "problem": problem}))
        self.engine.answer("up", {"ok": {"pid": os.getpid()}})
        process: Any = {
            "name": "worker-0", "argv": ["python"], "env": {}, "path_prefix": None, "cwd": "/",
            "log": str(folder / "log"),
        }  # fmt: skip
        self.box.run(process, {})

    def refusals(self) -> list[tuple[str, str]]:
        self.box.look()
        return [(one["kind"], one["message"]) for one in self.events if one["event"] == "refused"]


@pytest.mark.parametrize(
    "words",
    [
        "ttrpc: closed: unknown",
        "cannot exec in a stopped state: unknown",
        "lstat /proc/2864/ns/ipc: no such file",
    ],
)
def test_a_process_whose_container_ends_as_it_is_started_has_that_as_its_cause(
    tmp_path: Path, words: str
) -> None:
    started = Started(tmp_path)
    started.engine.answer("exec", {"error": words})
    assert started.refusals() == []  # the engine may tell why in a moment
    started.engine.tell({"event": "die", "code": 137})
    lost = ("container_lost", "the container of node0 ended: it was killed by signal 9")
    assert [(one["kind"], one["message"]) for one in started.events if one["event"] == "broken"] == [lost]
    assert started.refusals() == [lost]
    assert not started.box.waits


def test_a_refused_start_is_reported_in_the_words_of_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker, "HOLD_S", 0.0)
    started = Started(tmp_path)
    started.engine.answer("exec", {"error": "permission denied"})
    assert started.refusals() == [("start", "python: permission denied")]
    assert not started.box.waits
