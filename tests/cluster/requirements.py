"""What a machine must have to run a cluster."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

# A command of each Debian package.
PACKAGES = {
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "slurmdbd": "slurmdbd",
    "sbatch": "slurm-client",
    "munged": "munge",
    "mariadbd": "mariadb-server",
    "bindfs": "bindfs",
    "ip": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
}


def missing(*, cgroup: bool = False) -> list[str]:
    """Return why no cluster can run here, a sentence each; nothing if one can."""
    if not sys.platform.startswith("linux"):
        return [f"a cluster needs Linux; this is {sys.platform}"]
    problems: list[str] = []
    absent = sorted({package for command, package in PACKAGES.items() if not shutil.which(command)})
    if absent:
        problems.append(f"a cluster needs these packages: apt-get install {' '.join(absent)}")
    if os.getuid():
        problems.append("a cluster needs root, to give each node namespaces of its own")
    elif not absent and subprocess.run(["unshare", "--net", "--mount", "true"], check=False).returncode:
        problems.append("a cluster needs network and mount namespaces: `unshare --net --mount true` failed")
    if cgroup and not all(Path("/sys/fs/cgroup", name).is_dir() for name in ("memory", "devices", "freezer")):
        problems.append("--cgroup needs the controllers of cgroup v1 below /sys/fs/cgroup")
    return problems
