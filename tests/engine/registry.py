"""A registry that asks for a password, on the loopback of an engine: dockerd needs no TLS there."""

from __future__ import annotations

import json
import os
import secrets
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.engine import namespaces
from tests.engine.layout import HOLDER, REGISTRY, REGISTRY_PORT
from tests.processes import run, wait_for

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.engine.layout import Layout
    from tests.processes import Processes

LISTENS = f" 0100007F:{REGISTRY_PORT:04X} 00000000:0000 0A "  # a row of proc_net_tcp(5): 127.0.0.1, LISTEN


class Registry:
    """What an engine pushes to and pulls from; it ends with the engine."""

    def __init__(self, layout: Layout, processes: Processes) -> None:
        self.address = f"127.0.0.1:{REGISTRY_PORT}"
        self.username = "launcher"
        self.password = secrets.token_hex(8)
        self._layout = layout
        self._processes = processes

    @property
    def auth(self) -> dict[str, str]:
        """Return what the SDK takes as `auth_config`."""
        return {"username": self.username, "password": self.password}

    def start(self) -> None:
        """Start it; what was pushed to it before is still there."""
        self.stop()
        users, config = self._layout.registry / "htpasswd", self._layout.registry / "config.yml"
        users.write_text(run("htpasswd", "-Bbn", self.username, self.password), encoding="utf-8")
        settings = {
            "version": 0.1,
            "log": {"level": "warn"},
            "storage": {"filesystem": {"rootdirectory": str(self._layout.registry / "data")}},
            "http": {"addr": self.address},
            "auth": {"htpasswd": {"realm": "test", "path": str(users)}},
        }
        config.write_text(json.dumps(settings), encoding="utf-8")  # JSON is YAML
        line = ["docker-registry", "serve", config]
        self._processes.spawn(REGISTRY, namespaces.argv(self._processes, line), {})
        wait_for(self._answers, "the registry answers")

    def stop(self) -> None:
        """Kill it: nobody answers at its address."""
        self._processes.kill(REGISTRY)

    @contextmanager
    def silent(self) -> Generator[None]:
        """Have it accept connections and not answer."""
        pid = self._processes.pid(REGISTRY)
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def _answers(self) -> bool:
        if not self._processes.pid(REGISTRY):
            raise RuntimeError(f"the registry ended: see {self._layout.logs}/{REGISTRY}.out")
        holder = self._processes.pid(HOLDER)
        return LISTENS in Path(f"/proc/{holder}/net/tcp").read_text(encoding="ascii")
