"""The agent under the oldest Python it promises, and under a newer one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launcher.agent.base import atomic_json
from launcher.compute.agent_code import install
from launcher.environment.recipe.interpreters import candidates
from launcher.paths import StoreFolder

if TYPE_CHECKING:
    from tests.unit.agent.conftest import Bench


def interpreter(version: str) -> str:
    """Return the path of a Python of this machine, or skip."""
    for path in candidates(version, None):
        return path
    pytest.skip(f"no Python {version} on this machine")


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.12", "3.13"])
def test_it_compiles_and_runs(supervisors: Bench, version: str) -> None:
    python = interpreter(version)
    home = install(StoreFolder(supervisors.folder / "store"))
    compiling = [python, "-I", "-W", "error", "-m", "compileall", "-q", str(home)]
    assert subprocess.run(compiling, check=False, timeout=120).returncode == 0
    supervisors.entry = home
    run = supervisors.run(*(supervisors.process("pass", index=node, node=node) for node in range(2)))
    Path(run, "orders").write_bytes(
        atomic_json.encode({"runs": [run], "max_parallel": 1, "gpus": [], "log": os.fspath(home / "log")})
    )
    with Path(run, "orders").open("rb") as orders:
        done = subprocess.run(
            [python, "-I", "-S", "-W", "error", home, "supervise"],
            stdin=orders,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert (atomic_json.read(f"{run}/end.json") or {})["state"] == "Completed"
