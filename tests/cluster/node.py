"""A node: namespaces of its own around a slurmd, wired to the cluster's bridge."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster import init
from tests.processes import run, wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.cluster.layout import Layout
    from tests.processes import Processes

NAMESPACES = ("--net", "--uts", "--mount", "--ipc", "--pid")


def start(cluster: Layout, processes: Processes, node: str) -> None:
    """Switch a node on: its slurmd registers a moment later."""
    stop(cluster, processes, node)
    script = cluster.init(node)
    script.write_text(init.script(cluster, node), encoding="utf-8")
    outer = f"{node}.unshare"
    unshare = ["unshare", *NAMESPACES, "--fork", "--kill-child", "--mount-proc"]
    processes.spawn(outer, [*unshare, "sh", script], cluster.variables)
    pid = _pid_one(processes, outer, node)
    processes.adopt(node, pid)
    here = Path("/proc/self/ns/net").readlink()
    wait_for(lambda: Path(f"/proc/{pid}/ns/net").readlink() != here, f"{node} has a network of its own")
    for interface in init.interfaces(cluster):
        name = _veth(cluster, node, interface)
        run("ip", "link", "add", name, "type", "veth", "peer", "name", interface, "netns", pid)
        # The first interface of a hostile node ends here, unanswered; the other is the network.
        if interface == init.interfaces(cluster)[-1]:
            run("ip", "link", "set", name, "master", cluster.bridge)
        run("ip", "link", "set", name, "up", "alias", cluster.root)


def stop(cluster: Layout, processes: Processes, node: str) -> None:
    """Pull the plug: with its pid 1 every process of the node dies."""
    processes.kill(node, f"{node}.unshare")
    for interface in init.interfaces(cluster):
        run("ip", "link", "del", _veth(cluster, node, interface), check=False)
    remove_cgroups(cluster, node)


def argv(cluster: Layout, processes: Processes, node: str, words: Sequence[str]) -> list[str]:
    """Return the command that runs words on a node, as root and in its root folder.

    Raises:
        RuntimeError: the node is off.
    """
    cluster.number(node)
    if not (pid := processes.pid(node)):
        raise RuntimeError(f"{node} is off: switch it on with `python -m tests.cluster start {node}`")
    return ["nsenter", f"--target={pid}", *NAMESPACES, "--wdns=/", "--", *words]


def _veth(cluster: Layout, node: str, interface: str) -> str:
    return f"{cluster.bridge}n{cluster.number(node)}{interface[-1]}"


def _pid_one(processes: Processes, outer: str, node: str) -> int:
    """Return the process that is 1 in a node, as the machine counts."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not (parent := processes.pid(outer)):
            break
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
        if children:
            return int(children[0])
        time.sleep(0.01)
    raise RuntimeError(f"{node} did not start: see {outer}.out in the cluster's log folder")


def remove_cgroups(cluster: Layout, node: str) -> None:
    """Remove a node's cgroups: rules about devices left in them would hit the jobs of the next cluster."""
    if not cluster.cgroup:
        return
    for top in Path("/sys/fs/cgroup").glob(f"*/{cluster.cgroup_name(node)}"):
        for _ in range(50):
            run("find", top, "-depth", "-type", "d", "-exec", "rmdir", "{}", "+", check=False)
            if not top.exists():
                break
            time.sleep(0.02)
