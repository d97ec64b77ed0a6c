"""The cluster as a whole: up, down, and what happens to it in between."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.cluster import config, daemons, node
from tests.cluster.layout import DEFAULT_ROOT, SLURMD_PORT, Layout, load
from tests.processes import Processes, listens, run, wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SLOTS = 200
FOLDERS = ("log", "pids", "state", "spool", "nodes", "dev", "db", "munge", "shared")
FILES = ("cluster.json", "slurm.conf", "slurmdbd.conf", "gres.conf", "cgroup.conf")


class Cluster:
    """A live cluster. Everything it writes lies in one folder, everything it runs is recorded there."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.hostile = layout.hostile
        self.nodes = layout.nodes
        self.shared = layout.shared
        self._processes = Processes(layout.root / "pids", layout.logs)

    @property
    def variables(self) -> dict[str, str]:
        """Return what a client needs beside its own environment."""
        return self.layout.variables

    @property
    def env(self) -> dict[str, str]:
        """Return the environment of a client."""
        return {**os.environ, **self.layout.variables}

    def argv(self, name: str, words: Sequence[str]) -> list[str]:
        """Return the command that runs words on a node."""
        return node.argv(self.layout, self._processes, name, words)

    def exec(self, name: str, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a command on a node and return what came of it, unchecked."""
        line = self.argv(name, words)
        return subprocess.run(line, env=self.env, capture_output=True, text=True, check=False)

    def stop(self, name: str) -> None:
        """Pull a node's plug: all its processes die at once, and Slurm only finds out."""
        self.layout.number(name)
        node.stop(self.layout, self._processes, name)

    def start(self, name: str) -> None:
        """Switch a node on again; return when its slurmd answers, whatever the controller knows of it."""
        node.start(self.layout, self._processes, name)
        address = (self.layout.address(name), SLURMD_PORT)
        wait_for(lambda: listens(address), f"slurmd of {name} answers")

    def kill_daemon(self, name: daemons.Name) -> None:
        """Kill a daemon of the head."""
        self._processes.kill(name)

    def start_daemon(self, name: daemons.Name) -> None:
        """Start a killed daemon again, with the state that it has saved."""
        daemons.start(self.layout, self._processes, name)

    def idle(self) -> tuple[str, ...]:
        """Return the nodes that wait for work."""
        words = run(
            "sinfo", "--noheader", "--Node", "--partition=debug", "--format=%N %T", env=self.env, check=False
        )
        rows = (line.split() for line in words.splitlines())
        return tuple(name for name, state in rows if state == "idle")

    def wait_idle(self, limit_s: float = 60) -> None:
        """Return when every node waits for work."""
        wait_for(lambda: len(self.idle()) == len(self.nodes), f"{len(self.nodes)} nodes are idle", limit_s)

    def down(self) -> None:
        """Kill everything that runs; the files stay, to be read."""
        clear(self.layout.root)


def up(wanted: Layout) -> Cluster:
    """Start a cluster in a free slot; what an earlier one left in its folder is ended and removed.

    Raises:
        TimeoutError: a daemon does not answer, or a node does not register.
    """
    root = wanted.root
    clear(root)
    _make_root(root)
    try:
        layout = replace(wanted, slot=_take_slot(root))
        layout.save()
        _write_files(layout)
        run("ip", "address", "add", f"{layout.head_address}/24", "dev", layout.bridge)
        run("ip", "link", "set", layout.bridge, "up")
        _start(layout)
        cluster = Cluster(layout)
        cluster.wait_idle()
    except BaseException:
        clear(root)
        raise
    return cluster


def clear(root: Path) -> None:
    """End whatever a cluster of this folder runs, whether it is whole or the remains of a killed one."""
    processes = Processes(root / "pids", root / "log")
    processes.kill(*processes.names())
    for link in json.loads(run("ip", "-json", "link", "show")):
        if link.get("ifalias") == str(root):
            run("ip", "link", "del", link["ifname"], check=False)  # it may vanish with its namespace
    record = Layout(root=root).record
    if record.exists():
        layout = load(root)
        for name in layout.nodes:
            node.remove_cgroups(layout, name)
        shutil.rmtree(layout.database, ignore_errors=True)  # large, and of no use without its daemon
        record.unlink()


def attach(root: Path = DEFAULT_ROOT) -> Cluster:
    """Return the cluster that runs in a folder.

    Raises:
        FileNotFoundError: none was started there.
    """
    return Cluster(load(root))


def _start(layout: Layout) -> None:
    processes = Processes(layout.root / "pids", layout.logs)
    with ThreadPoolExecutor() as pool:
        tasks = [pool.submit(daemons.start_all, layout, processes)]
        tasks += [pool.submit(node.start, layout, processes, name) for name in layout.nodes]
    for task in tasks:
        task.result()


def _make_root(root: Path) -> None:
    """Make the folder anew. It holds device files and keys: only its owner may have made it."""
    if root.exists():
        if root.is_symlink() or root.stat().st_uid != os.getuid():
            raise PermissionError(f"{root} belongs to another user: name another folder with --state")
        if strange := {path.name for path in root.iterdir()} - {*FOLDERS, *FILES}:
            raise FileExistsError(
                f"{root} is not a cluster's, it holds {min(strange)}: name another with --state"
            )
        shutil.rmtree(root)
    for name in FOLDERS:
        (root / name).mkdir(parents=True)
    root.chmod(0o755)
    (root / "shared").chmod(0o1777)


def _take_slot(root: Path) -> int:
    """Return a number that no other cluster has: who makes the bridge of that number owns it."""
    for slot in range(SLOTS):
        layout = Layout(root=root, slot=slot)
        if not (_free(layout.slurmctld_port) and _free(layout.slurmdbd_port)):
            continue
        try:
            run("ip", "link", "add", layout.bridge, "type", "bridge")
        except RuntimeError as error:
            if "exists" not in str(error):
                raise
            continue
        run("ip", "link", "set", layout.bridge, "alias", root)
        return slot
    raise RuntimeError(f"{SLOTS} clusters live on this machine: see `ip link`")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def _write_files(layout: Layout) -> None:
    for name, text in config.files(layout).items():
        (layout.root / name).write_text(text, encoding="utf-8")
    layout.slurmdbd_conf.chmod(0o600)
    # What /etc/hosts does not answer is refused at once, not asked of servers that no node reaches.
    layout.resolver.write_text("nameserver 127.0.0.1\n", encoding="utf-8")
    for name in layout.nodes:
        layout.hosts(name).write_text(config.hosts(layout, name), encoding="utf-8")
        (layout.root / "spool" / name).mkdir()
    daemons.make_gpus(layout)
