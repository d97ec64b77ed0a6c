"""The engine as a whole: up, down, and what happens to it in between."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docker import DockerClient
from docker.errors import DockerException
from requests.exceptions import RequestException

from launcher.paths import cache_root
from tests.engine import images, namespaces
from tests.engine.layout import DEFAULT_ROOT, DOCKERD, Layout, load
from tests.engine.registry import Registry
from tests.processes import Processes, listens, wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.engine.images import Image

FOLDERS = ("bin", "client", "data", "exec", "log", "pids", "registry")
FILES = ("daemon.json", "docker.sock", "dockerd.pid", "engine.json")
# What dockerd calls for a container with GPUs. This one adds none, but such a container starts.
GPU_HOOK = "nvidia-container-runtime-hook"
# Killed while it makes a network, dockerd ends whenever it reads what it has saved of it: moby/moby#45057.
PANIC = b"libnetwork.(*controller).reservePools"


class Engine:
    """A live engine. Everything it writes lies in one folder, every process of it is found from there."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.host = layout.host
        self.variables = layout.variables
        self._processes = Processes(layout.pids, layout.logs)
        self._images = cache_root() / "test-images"  # now: a test may have a cache of its own later
        self._client: DockerClient | None = None
        self._registry: Registry | None = None

    @property
    def env(self) -> dict[str, str]:
        """Return the environment of a client, in which nothing is of the user's own engine."""
        here = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
        return {**here, **self.variables}

    def client(self) -> DockerClient:
        """Return a client, the same each time; `down` closes it."""
        if self._client is None:
            self._client = DockerClient(base_url=self.host, timeout=300)
            # A user's passwords stay out of it.
            self._client.api.reload_config(str(self.layout.client / "config.json"))
        return self._client

    def image(self, image: Image) -> str:
        """Return the name of an image, which is loaded when it is first asked for."""
        return images.load(self.client(), image, self._images)

    def registry(self) -> Registry:
        """Return the engine's registry, which starts when it is first asked for."""
        if self._registry is None:
            self._registry = Registry(self.layout, self._processes)
            self._registry.start()
        return self._registry

    def containers(self) -> list[str]:
        """Return the names of all containers, whatever their state."""
        listed = self.client().containers.list(all=True, ignore_removed=True)
        return sorted(one.name or "" for one in listed)

    def networks(self) -> list[str]:
        """Return the names of the networks that somebody has made."""
        api: Any = self.client().networks  # its types are not told in full
        return sorted(one.name for one in api.list(filters={"type": "custom"}))

    def argv(self, words: Sequence[str]) -> list[str]:
        """Return the command that runs words in the engine's namespaces."""
        return [str(word) for word in namespaces.argv(self._processes, words)]

    def exec(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a command in the engine's namespaces and return what came of it, unchecked."""
        return subprocess.run(self.argv(words), env=self.env, capture_output=True, text=True, check=False)

    def kill(self) -> None:
        """Kill dockerd, as a crash does: what runs in containers goes on. Its containerd ends with it."""
        self._processes.kill(DOCKERD)
        # Its main thread is gone first; while others end, the socket still takes connections.
        wait_for(lambda: not listens(str(self.layout.socket)), "nobody listens any more")

    def stop(self) -> None:
        """Stop dockerd, as administrators do: it tells what runs in containers to end, and waits."""
        pid = self._processes.pid(DOCKERD)
        assert pid is not None
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: self._processes.pid(DOCKERD) is None, f"{DOCKERD} has ended")

    def start(self, *, live_restore: bool = False) -> None:
        """Start a stopped or killed dockerd again, with what it has saved.

        It stops the containers that still run, and waits 10 s for each that does not hear SIGTERM; with
        `live_restore` they go on.
        """
        line = [DOCKERD, "--config-file", self.layout.daemon_json]
        line += ["--live-restore"] if live_restore else []
        log = self.layout.logs / f"{DOCKERD}.out"
        before = log.stat().st_size if log.exists() else 0
        try:
            self._spawn(line)
        except RuntimeError:
            if PANIC not in log.read_bytes()[before:]:
                raise
            (self.layout.data / "network" / "files" / "local-kv.db").unlink()  # as its administrators do
            self._spawn(line)

    def _spawn(self, line: Sequence[str | Path]) -> None:
        wait_for(lambda: "containerd" not in self._commands(), "containerd ends with dockerd")
        # A number of theirs may be another's by now, or that of a dead process which waits to be reaped.
        for left in (self.layout.pid_file, self.layout.exec / "containerd" / "containerd.pid"):
            left.unlink(missing_ok=True)
        path = f"{self.layout.bin}:{os.environ['PATH']}"
        self._processes.spawn(DOCKERD, namespaces.argv(self._processes, line), {"PATH": path})

        def answers() -> bool:
            if not self._processes.pid(DOCKERD):
                raise RuntimeError(f"{DOCKERD} ended: see {self.layout.logs}/{DOCKERD}.out")
            if listens(str(self.layout.socket)):  # where nobody does, the SDK leaves a socket open
                with suppress(DockerException, RequestException):
                    return self.client().ping()  # waits until containers and networks are in order
            return False

        wait_for(answers, f"{DOCKERD} answers", limit_s=60)

    def down(self) -> None:
        """Kill everything that runs; only logs stay, to be read."""
        if self._client:
            self._client.close()
        self._client = self._registry = None
        clear(self.layout.root)

    def _commands(self) -> set[str]:
        found: set[str] = set()
        for pid in namespaces.members(self.layout):
            with suppress(OSError):
                found.add((namespaces.PROC / str(pid) / "comm").read_text(encoding="utf-8").strip())
        return found


def up(wanted: Layout) -> Engine:
    """Start an engine in a free slot; what an earlier one left in its folder is ended and removed.

    Raises:
        TimeoutError: it does not answer.
    """
    root = wanted.root
    clear(root)
    _make_root(wanted)
    try:
        layout = namespaces.make(wanted, Processes(wanted.pids, wanted.logs))
        layout.save()
        engine = Engine(layout)
        engine.start()
    except BaseException:
        clear(root)
        raise
    return engine


def clear(root: Path) -> None:
    """End whatever an engine of this folder runs, whether it is whole or the remains of a killed one."""
    layout = Layout(root=root)
    namespaces.end(layout, Processes(layout.pids, layout.logs))
    if layout.record.exists():
        _empty(layout.data)
        for name in set(FOLDERS) - {layout.logs.name}:
            shutil.rmtree(root / name, ignore_errors=True)
        for name in FILES:  # the record of it is the last
            (root / name).unlink(missing_ok=True)


def attach(root: Path = DEFAULT_ROOT) -> Engine:
    """Return the engine that runs in a folder.

    Raises:
        FileNotFoundError: none was started there.
    """
    return Engine(load(root))


def _make_root(layout: Layout) -> None:
    """Make the folder anew. What lies in it is run by root: only its owner may have made it."""
    root = layout.root
    if root.exists():
        if root.is_symlink() or root.stat().st_uid != os.getuid():
            raise PermissionError(f"{root} belongs to another user: name another folder with --state")
        if strange := {path.name for path in root.iterdir()} - {*FOLDERS, *FILES}:
            raise FileExistsError(
                f"{root} is not an engine's, it holds {min(strange)}: name another with --state"
            )
        shutil.rmtree(root)
    if not re.fullmatch(r"/[\w./-]{1,60}", str(root)):
        raise ValueError(f"{root}: expected a short and plain path, for sockets and mounts: name another")
    for name in FOLDERS:
        (root / name).mkdir(parents=True)
    root.chmod(0o755)
    layout.save()
    (layout.client / "config.json").write_text("{}", encoding="utf-8")
    layout.daemon_json.write_text(json.dumps(_settings(layout), indent=1), encoding="utf-8")
    (layout.bin / GPU_HOOK).write_text("#!/bin/sh\n", encoding="utf-8")
    (layout.bin / GPU_HOOK).chmod(0o755)


def _empty(folder: Path) -> None:
    """Remove the files below a folder, many at a time: one after another, thousands wait for the disk."""
    found = [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]
    with ThreadPoolExecutor(16) as pool:
        for _ in pool.map(Path.unlink, found):
            pass


def _settings(layout: Layout) -> dict[str, Any]:
    """Return dockerd's settings. The cgroups are named, so that they can be removed without it."""
    return {
        "hosts": [layout.host],
        "data-root": str(layout.data),
        "exec-root": str(layout.exec),
        "pidfile": str(layout.pid_file),
        "storage-driver": "overlay2",
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
        "cgroup-parent": f"/{layout.name}",
    }
