"""The agent's answers to `compute check`, on one machine that is both nodes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from launcher.agent.base import atomic_json
from launcher.agent.targets.cluster_check import survey
from launcher.compute.agent_code import install
from launcher.paths import StoreFolder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with orders, and tools that take the place of those of a node."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, text in {
        "srun": 'while [ "${1#-}" != "$1" ]; do shift; done; exec "$@"',
        "mpirun": "echo 'mpirun (Open MPI) 4.1.4'",
        "nvidia-smi": "echo 'GPU 0: NVIDIA A100 (UUID: GPU-1)'; echo none",
    }.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setattr(sys, "argv", [str(install(StoreFolder(tmp_path)))])
    order(tmp_path, 2)
    return tmp_path


def order(folder: Path, nodes: int, patience_s: float = 10) -> None:
    orders = {
        "compute": {"srun_args": ["--x"]},
        "nodes": nodes,
        "paths": ["/", "/none"],
        "patience_s": patience_s,
    }
    (folder / "orders.json").write_text(json.dumps(orders))


def answer(folder: Path) -> dict[str, Any]:
    return atomic_json.read(str(folder / "answer.json")) or {}


def test_two_nodes(folder: Path) -> None:
    def reply() -> None:
        while not answer(folder):
            time.sleep(0.01)
        (folder / "seen.json").write_text(json.dumps({"time": time.time()}))

    threading.Thread(target=reply, daemon=True).start()
    began = time.time()
    assert survey(str(folder)) == 0
    told = answer(folder)
    assert told["done"]
    assert began <= told["time"] <= told["seen"] <= time.time()
    one, other = told["nodes"]
    assert one["host"] == other["host"] == os.uname().nodename
    assert one["gpus"] == other["gpus"] == ["0", "1"]
    assert one["gpu_names"] == ["GPU 0: NVIDIA A100"]
    assert one["mpirun_version"] == "mpirun (Open MPI) 4.1.4"
    assert one["paths"] == {"/": True, "/none": False}
    for side in ("here", "there"):
        assert [way[:2] for way in told["ways"][side]] == one["interfaces"]
        assert all(seconds is not None for *_, seconds in told["ways"][side])


def test_a_second_node_that_cannot_be_reached_and_a_launcher_that_is_gone(folder: Path) -> None:
    (folder / "bin" / "srun").write_text("#!/bin/sh\necho 'srun: error: not allowed' >&2; exit 1\n")
    order(folder, 2, patience_s=0.1)
    assert survey(str(folder)) == 0
    told = answer(folder)
    assert (told["done"], told["seen"], told["problem"]) == (True, None, "srun: error: not allowed")
    assert len(told["nodes"]) == 1


def test_no_orders(folder: Path) -> None:
    (folder / "orders.json").unlink()
    done = subprocess.run(
        [sys.executable, "-I", "-S", sys.argv[0], "survey", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "no orders in" in done.stderr
