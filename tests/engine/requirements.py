"""What a machine must have to run an engine and to make images of its own files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from tempfile import TemporaryDirectory

from tests.engine.layout import DEFAULT_ROOT

# A command of each Debian package.
PACKAGES = {
    "dockerd": "docker.io",
    "iptables": "iptables",
    "docker-registry": "docker-registry",
    "htpasswd": "apache2-utils",
    "ip": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "busybox": "busybox-static",
    "/usr/bin/python3": "python3",
    "/usr/bin/pip3": "python3-pip",
    "/usr/bin/mpirun": "openmpi-bin",
}

# Layers of images are overlays, which do not lie on one another.
PROBE = """
mkdir lower upper work merged
mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay merged
"""


def missing() -> list[str]:
    """Return why no engine can run here, a sentence each; nothing if one can."""
    if not sys.platform.startswith("linux"):
        return [f"an engine needs Linux; this is {sys.platform}"]
    if not shutil.which("dpkg-query"):
        return ["images are made of the files of Debian's packages; this is another Linux"]
    problems: list[str] = []
    absent = sorted({package for command, package in PACKAGES.items() if not shutil.which(command)})
    if absent:
        problems.append(f"an engine needs these packages: apt-get install {' '.join(absent)}")
    if os.getuid():
        problems.append("an engine needs root, for namespaces of its own")
    elif not absent:
        problems += _refused()
    return problems


def _refused() -> list[str]:
    with TemporaryDirectory(dir=DEFAULT_ROOT.parent) as folder:
        probe = ["unshare", "--net", "--mount", "sh", "-euc", PROBE]
        done = subprocess.run(probe, cwd=folder, capture_output=True, text=True, check=False)
    if not done.returncode:
        return []
    said = done.stderr.strip()
    return [f"an engine needs namespaces, and overlays below {DEFAULT_ROOT.parent}: {said}"]
