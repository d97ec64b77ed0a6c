"""The script that is pid 1 of a node; pure text."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from tests.cluster.layout import EPHEMERAL_PORTS, OPEN_PORTS, SLURMD_PORT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.layout import Layout

CONTROLLERS = ("freezer", "devices", "memory", "cpuset", "cpu", "cpuacct")

# Its own subtree of cgroup v1 in the place of the machine's. A new cpuset is empty: nothing may enter it yet.
CGROUP = """\
for controller in {controllers}; do
    top=/sys/fs/cgroup/$controller
    mkdir -p "$top/{name}"
    if [ "$controller" = cpuset ]; then
        for file in cpuset.cpus cpuset.mems; do cat "$top/$file" >"$top/{name}/$file"; done
    fi
    [ "$controller" != memory ] || echo 1 >"$top/{name}/memory.use_hierarchy" || true
    echo $$ >"$top/{name}/cgroup.procs"
    mount --bind "$top/{name}" "$top"
done
"""

HEAD = """\
set -eu
hostname {node}
mount --make-rprivate /
{cgroup}mount --bind {hosts} /etc/hosts
[ ! -e /etc/resolv.conf ] || mount --bind {resolver} /etc/resolv.conf
# A login shell of a job must not wait for what this machine's user has in profiles, such as pyenv's lock.
for profile in ~root/.bash_profile ~root/.bash_login ~root/.profile ~root/.bashrc; do
    [ ! -e "$profile" ] || mount --bind /dev/null "$profile"
done
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs tmpfs /mnt
"""

# /tmp is private: `srun --mpi=pmix` makes folders in it that two nodes cannot share.
KEEP = """\
mkdir -p /mnt{folder} && mount --rbind {folder} /mnt{folder}
"""
PRIVATE_TMP = """\
mount -t tmpfs -o mode=1777 tmpfs /tmp
"""
GIVE_BACK = """\
mkdir -p {folder} && mount --move /mnt{folder} {folder}
"""
# What it serves stays below /mnt: taken from there, it would lose what is mounted in it.
GIVE_BACK_STALE = """\
mkdir -p {folder}
bindfs --multithreaded --enable-lock-forwarding -o nonempty,{options} /mnt{folder} {folder}
"""

INTERFACE = """\
until ip link show {interface} >/dev/null 2>&1; do sleep 0.02; done
ip address add {address}/24 dev {interface}
ip link set {interface} up
"""

FIREWALL = """\
echo "{ephemeral[0]} {ephemeral[1]}" >/proc/sys/net/ipv4/ip_local_port_range
nft -f - <<'RULES'
table inet site {{
    chain input {{
        type filter hook input priority 0; policy accept;
        iifname "lo" accept
        iifname "eth0" drop
        ct state established,related accept
        tcp dport {{ {slurmd}, {open[0]}-{open[1]} }} accept
        tcp flags syn drop
    }}
}}
RULES
"""

# The shell stays as pid 1 and reaps, also when slurmd is gone.
TAIL = """\
ulimit -n "$(ulimit -Hn)"
slurmd -D -N {node} &
set +e
wait
while :; do sleep 1000 & wait $!; done
"""


def interfaces(cluster: Layout) -> tuple[str, ...]:
    """Return a node's interfaces; the last one is connected."""
    return ("eth0", "eth1") if cluster.hostile else ("eth0",)


def script(cluster: Layout, node: str) -> str:
    """Return the init of a node."""
    names = " ".join(CONTROLLERS)
    cgroup = CGROUP.format(controllers=names, name=cluster.cgroup_name(node)) if cluster.cgroup else ""
    head = HEAD.format(
        node=node, cgroup=cgroup, hosts=_word(cluster.hosts(node)), resolver=_word(cluster.resolver)
    )
    return head + _folders(cluster) + _network(cluster, node) + TAIL.format(node=node)


def _folders(cluster: Layout) -> str:
    below_tmp = cluster.root.is_relative_to("/tmp")
    plain = [cluster.root] if below_tmp else []
    shared = [*cluster.shared_dirs, *([cluster.shared] if cluster.hostile else [])]
    stale = (
        f"attr_timeout={cluster.cache_s},entry_timeout={cluster.cache_s},negative_timeout={cluster.cache_s}"
    )
    back = GIVE_BACK_STALE if cluster.hostile else GIVE_BACK
    return "".join(
        [
            *(KEEP.format(folder=_word(folder)) for folder in [*plain, *shared]),
            PRIVATE_TMP,
            *(GIVE_BACK.format(folder=_word(folder)) for folder in plain),
            *(back.format(folder=_word(folder), options=stale) for folder in shared),
            *([] if cluster.hostile else ["umount /mnt\n"]),
        ]
    )


def _network(cluster: Layout, node: str) -> str:
    *dead, alive = interfaces(cluster)
    lines = ["ip link set lo up\n"]
    lines += [INTERFACE.format(interface=name, address=cluster.dead_address(node)) for name in dead]
    lines += [INTERFACE.format(interface=alive, address=cluster.address(node))]
    lines += [f"ip route add default via {cluster.head_address}\n"]
    if cluster.hostile:
        lines += [FIREWALL.format(ephemeral=EPHEMERAL_PORTS, open=OPEN_PORTS, slurmd=SLURMD_PORT)]
    return "".join(lines)


def _word(folder: Path) -> str:
    return quote(str(folder))
