"""Launches into containers of a test's engine."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.agent.base import atomic_json
from launcher.agent.base.processes import marked, parents
from launcher.spec import State
from tests.engine.images import TINY
from tests.integration.conftest import Lab, until

if TYPE_CHECKING:
    from launcher.paths import RunFolder
    from tests.engine.machine import Engine

TWO = ("distribution=torch", "nodes=2")

SLEEPS = "echo up; sleep 300"


class Boxed(Lab):
    """A `Lab` whose nodes are containers."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        super().__init__(folder)
        self.engine = engine
        self.env = {name: value for name, value in self.env.items() if not name.startswith("DOCKER_")}
        self.env |= engine.variables
        self.image = engine.image(TINY)
        self.before = engine.containers()

    def line(self, *words: str) -> list[str]:
        """See `Lab.line`; a later word wins."""
        fixed = ["compute=docker"]
        if not any(word.startswith("environment=") for word in words):
            fixed += ["environment=image"]
            if not any(word.startswith("environment.image=") for word in words):
                fixed.append(f"environment.image={self.image}")
        fixed += ["script=null"] if any(word.startswith("command=") for word in words) else []
        line = super().line(*fixed, *words)
        return [word for word in line if word != "environment=current"]

    def shell(self, text: str) -> str:
        """Write a script of the shell; return the word that runs it."""
        self.script(text, "script.sh")
        return "command=[sh,script.sh]"

    def log(self, rank: int = 0, number: int = 1) -> str:
        """Return what a rank wrote."""
        return (self.run(number).logs / f"worker-{rank}.log").read_text()

    def cancel(self, number: int = 1) -> None:
        """Cancel a run and wait for its end."""
        assert self.command("runs", "cancel", f"mnist/{number}").returncode == 0
        assert self.over(self.run(number)).state is State.CANCELED
        self.nothing_left()

    def boxes(self) -> list[dict[str, Any]]:
        """Return what the engine tells of the containers of runs."""
        api: Any = self.engine.client().api
        listed = api.containers(all=True, filters={"label": "launcher.run"})
        return [api.inspect_container(one["Id"]) for one in listed]

    def nothing_left(self, limit_s: float = 30) -> None:
        """Wait until the engine has no container and no network of a run any more."""
        until(lambda: self.engine.containers() == self.before, "no container left", limit_s)
        until(lambda: not self.engine.networks(), "no network left", limit_s)

    def cause(self, folder: RunFolder) -> str:
        """Return why a run ended, in one line."""
        end = json.loads(folder.end.read_text())
        return f"{end['state']} {end['cause']['kind']}: {end['cause']['message']}"


def processes(lab: Boxed, folder: RunFolder) -> dict[str, int]:
    """Return the processes of a run: the guard, its supervisor, and the helper that speaks to the engine."""
    owner: dict[str, Any] = (atomic_json.read(str(folder.submit)) or {}).get("owner") or {}
    guard = int(owner.get("pid", 0))
    if _command(guard)[-1:] != [b"supervise"]:
        return {}
    found = {"guard": guard}
    for pid, parent in sorted(parents().items()):
        if parent == guard:
            found["supervisor"] = pid
    for pid in marked({b"LAUNCHER_STORE=" + os.fsencode(lab.store.root)}):
        if b"launcher.engine.serve" in _command(pid):
            found["helper"] = pid
    return found


def _command(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
    except OSError:
        return []
