"""The namespaces of an engine: its own network with a way out, its own mounts, the machine's processes."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from tests.engine.layout import DOCKERD, HOLDER, REGISTRY, Layout
from tests.processes import run, wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.processes import Processes

SLOTS = 200
NAMESPACES = ("--net", "--mount")
PROC = Path("/proc")
FORWARDING = PROC / "sys/net/ipv4/ip_forward"

# The engine's folder is a mount of itself: by that its processes are found. dockerd and containerd also write
# into folders that belong to the machine's own engine. Forwarding is on before dockerd can turn it on: it
# would refuse to forward for anyone but itself.
INSIDE = """\
mount --bind {root} {root}
for folder in /etc/docker /opt/containerd /run/containerd /run/docker; do
    mkdir -p $folder
    mount -t tmpfs -o mode=711 tmpfs $folder
done
[ "$(cat {forwarding})" = 1 ] || echo 1 >{forwarding}
ip link set lo up
ip address add {address}/30 dev eth0
ip link set eth0 up
ip route add default via {gateway}
"""

NAT = """\
table ip {name} {{
    chain out {{
        type nat hook postrouting priority 100;
        ip saddr {address} masquerade
    }}
}}
"""


def make(layout: Layout, processes: Processes) -> Layout:
    """Make the namespaces of a new engine and wire them; return it with the slot it has got."""
    processes.spawn(HOLDER, ["unshare", *NAMESPACES, "sleep", "infinity"], {})

    def made() -> bool:
        if not (pid := processes.pid(HOLDER)):
            raise RuntimeError(f"the namespaces ended: see {layout.logs}/{HOLDER}.out")
        return (PROC / str(pid) / "comm").read_text(encoding="utf-8") == "sleep\n"

    wait_for(made, "the engine has namespaces of its own")
    layout = _wire(layout, processes)
    if FORWARDING.read_text(encoding="ascii") != "1\n":
        FORWARDING.write_text("1", encoding="ascii")
    run("ip", "address", "add", f"{layout.gateway}/30", "dev", layout.veth)
    run("ip", "link", "set", layout.veth, "up")
    run("nft", NAT.format(name=layout.name, address=layout.address))
    text = INSIDE.format(
        root=layout.root, forwarding=FORWARDING, address=layout.address, gateway=layout.gateway
    )
    run(*argv(processes, ["sh", "-euc", text]))
    return layout


def argv(processes: Processes, words: Sequence[str | Path]) -> list[str | Path]:
    """Return the command that runs words in the namespaces.

    Raises:
        RuntimeError: they are gone.
    """
    if not (pid := processes.pid(HOLDER)):
        raise RuntimeError("the engine is down: start it with `python -m tests.engine up`")
    return ["nsenter", f"--target={pid}", *NAMESPACES, "--", *words]


def members(layout: Layout) -> list[int]:
    """Return every process of an engine: its daemons, its shims, and what runs in its containers.

    The ones share a mount of the engine's folder, the root of the others is an overlay in its data.
    """
    root = re.escape(os.fsencode(layout.root))
    mark = re.compile(rb"[ =]%s(?: |/data/)" % root)
    seen = {_mounts("self"): False, _mounts("1"): False}  # where nothing of an engine is
    found: list[int] = []
    for name in filter(str.isdigit, os.listdir(PROC)):
        namespace = _mounts(name)
        if namespace and namespace not in seen and (mounts := _read(PROC / name / "mountinfo")):
            seen[namespace] = bool(mark.search(mounts))
        if seen.get(namespace):
            found.append(int(name))
    return found


def end(layout: Layout, processes: Processes) -> None:
    """Kill every process of an engine, and take away what lies outside its folder."""
    processes.kill(DOCKERD)  # first: it would start containers again

    def gone() -> bool:
        left = members(layout)
        for pid in left:
            _kill(pid)
        return not left

    wait_for(gone, f"no process of {layout.root} is left after SIGKILL")
    processes.kill(REGISTRY, HOLDER)
    for link in json.loads(run("ip", "-json", "link", "show")):
        if link.get("ifalias") == str(layout.root):
            run("ip", "link", "del", link["ifname"], check=False)  # it may vanish with its namespace
    run("nft", "delete", "table", "ip", layout.name, check=False)
    for top in cgroups(layout):
        wait_for(lambda top=top: _removed(top), f"{top} is removed")


def cgroups(layout: Layout) -> list[Path]:
    """Return the cgroups in which those of containers lie: many of version 1, one of version 2."""
    here = Path("/sys/fs/cgroup")
    return [*here.glob(layout.name), *here.glob(f"*/{layout.name}")]


def _wire(layout: Layout, processes: Processes) -> Layout:
    """Return the engine with a number that no other has: who makes the wire of that number owns it."""
    for slot in range(SLOTS):
        taken = Layout(root=layout.root, slot=slot)
        peer = ("peer", "name", "eth0", "netns", processes.pid(HOLDER) or 0)
        try:
            run("ip", "link", "add", taken.veth, "type", "veth", *peer)
        except RuntimeError as error:
            if "exists" not in str(error):
                raise
            continue
        run("ip", "link", "set", taken.veth, "alias", layout.root)
        return taken
    raise RuntimeError(f"{SLOTS} engines live on this machine: see `ip link`")


def _mounts(name: str) -> str:
    try:
        return str((PROC / name / "ns" / "mnt").readlink())
    except OSError:
        return ""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _removed(top: Path) -> bool:
    run("find", top, "-depth", "-type", "d", "-exec", "rmdir", "{}", "+", check=False)
    return not top.exists()
