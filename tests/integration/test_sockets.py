"""Which sockets of a run others can reach, by what the kernel says of them."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from launcher.agent.base.processes import descendants
from tests.integration.conftest import Lab

if TYPE_CHECKING:
    from collections.abc import Iterable

_SERVES = """\
import os, socket, time
if os.environ["RANK"] == "0":
    server = socket.create_server((os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])))
    print("up", flush=True)
time.sleep(300)
"""


def listening(pids: Iterable[int]) -> list[str]:
    """Return the addresses on which processes listen in the network of this process."""
    shown = subprocess.run(["ss", "-ltnpH"], check=True, capture_output=True, text=True).stdout
    rows = [line for line in shown.splitlines() if any(f"pid={pid}," in line for pid in pids)]
    return [row.split()[3].rpartition(":")[0] for row in rows]


@pytest.mark.skipif(shutil.which("ss") is None, reason="no ss: install iproute2")
def test_nodes_of_this_machine_are_reached_by_the_loopback_alone(lab: Lab) -> None:
    lab.script(_SERVES)
    started = lab.start("distribution=torch", "framework=python", "nodes=2")
    lab.running(lab.run(), "up")
    tops = lab.processes(lab.run())
    pids = {*tops, *(below for top in tops for below in descendants(top))}
    served = ["127.0.0.1"] * 2  # by agent 0, and by the script itself
    assert listening(pids) == served
    assert lab.command("runs", "cancel", lab.run().id).returncode == 0
    started.communicate(timeout=60)
