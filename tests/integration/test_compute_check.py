"""`compute check` on real clusters: it tells the truth, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.processes import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.machine import Cluster


def start(cluster: Cluster, folder: Path, *words: str) -> subprocess.Popen[str]:
    env = {**cluster.env, "LAUNCHER_CACHE": str(folder / "cache"), "LAUNCHER_STORE": str(folder / "store")}
    return subprocess.Popen(
        [sys.executable, "-m", "launcher", "compute", "check", "compute=slurm", *words],
        cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def check(cluster: Cluster, folder: Path, *words: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """Return the exit code, and level and text of each row."""
    asking = start(cluster, folder, "--json", *words)
    told, errors = asking.communicate(timeout=100)
    assert told, errors
    rows: list[dict[str, Any]] = json.loads(told)["rows"]
    return asking.returncode, {row["what"]: (row["level"], f"{row['found']} > {row['next']}") for row in rows}


def jobs(cluster: Cluster) -> str:
    words = ["squeue", "--noheader", "--format=%j"]
    told = subprocess.run(words, env=cluster.env, capture_output=True, text=True, check=True).stdout
    return "".join(line for line in told.splitlines() if "launcher-check" in line)


def left(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if name != "cache")


def test_a_cluster_where_all_is_well(cluster: Cluster, tmp_path: Path) -> None:
    code, rows = check(cluster, tmp_path, "gpus_per_node=2", "compute.partition=short")
    assert (code, {level for level, _ in rows.values()}) == (0, {"ok"}), rows
    assert "on node" in rows["job"][1]
    assert "2 on node" in rows["GPUs"][1]
    assert "eth0 10." in rows["network"][1]
    assert left(tmp_path) == []


def test_what_nodes_do_not_see(cluster: Cluster, tmp_path: Path) -> None:
    code, rows = check(cluster, tmp_path, "store=/tmp/launcher-store-that-nodes-do-not-see")
    assert code == 1
    assert rows["job"][0] == "bad"
    assert "does not see the store" in rows["job"][1]
    assert not os.path.exists("/tmp/launcher-store-that-nodes-do-not-see")  # noqa: PTH110


def test_what_slurm_refuses(cluster: Cluster, tmp_path: Path) -> None:
    code, rows = check(cluster, tmp_path, "compute.reservation=none")
    assert (code, rows["job"][0]) == (1, "bad")
    assert "reservation is invalid" in rows["job"][1]
    code, rows = check(cluster, tmp_path, "compute.partition=shrot", "nodes=9")
    assert (code, rows["options"][0]) == (1, "bad")
    assert "none was submitted" in rows["job"][1]
    assert left(tmp_path) == []


def test_a_job_that_waits_is_canceled(cluster: Cluster, tmp_path: Path) -> None:
    hold = ["compute.additional_parameters={hold: true}"]
    code, rows = check(cluster, tmp_path, *hold, "--timeout", "2")
    assert (code, rows["job"][0]) == (0, "warn")
    assert "still waits after 2 s" in rows["job"][1]
    asking = start(cluster, tmp_path, *hold)
    wait_for(lambda: bool(jobs(cluster)), "a job that waits", 60)
    asking.send_signal(signal.SIGINT)
    asking.communicate(timeout=60)
    assert asking.returncode == 130
    assert (jobs(cluster), left(tmp_path)) == ("", [])


@pytest.mark.slow
def test_a_hostile_cluster(hostile_cluster: Cluster, tmp_path: Path) -> None:
    code, rows = check(hostile_cluster, tmp_path)
    assert code == 0, rows
    assert rows["store, here to node"][0] == "warn"
    assert "eth0" in rows["network"][1]
    assert rows["network"][1].endswith("compute.interface=eth1")
    assert left(tmp_path) == []
