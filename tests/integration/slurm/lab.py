"""Launches onto a test cluster, for the tests of Slurm."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from launcher.compute.jobs import job_of
from launcher.store.runs import read_run
from tests.integration.conftest import Lab, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from launcher.paths import RunFolder
    from launcher.store.run_state import Run
    from tests.cluster.machine import Cluster


class SlurmLab(Lab):
    """A `Lab` whose runs are jobs of a cluster."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        super().__init__(folder)
        self.cluster = cluster
        self.env |= cluster.env
        self.env = {
            name: value
            for name, value in self.env.items()
            if not name.startswith("LAUNCHER_") or name in {"LAUNCHER_STORE", "LAUNCHER_CACHE"}
        }

    def line(self, *words: str) -> list[str]:
        """See `Lab.line`."""
        return super().line("compute=slurm", *words)

    def submit(self, *words: str) -> None:
        """Submit and do not wait for the end."""
        done = self.launch(*words, "wait=false")
        assert done.returncode == 0, done.stderr

    def slurm(self, *argv: str) -> str:
        """Return what a program of Slurm prints."""
        done = subprocess.run(argv, env=self.env, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def job(self, folder: RunFolder) -> str:
        """Return the id of a run's job."""
        found = job_of(folder)
        assert found is not None
        return found.id

    def state_of(self, folder: RunFolder) -> str:
        """Return a run's state as a user is told it, once the scheduler was asked where that is due."""
        told = self.command("runs", "show", folder.id).stdout
        found = re.search(r"^state +(\w+)", told, re.MULTILINE)
        return found[1] if found else told

    def over(self, folder: RunFolder, limit_s: float = 90) -> Run:
        """Wait for the end of a run as a user does, by the scheduler's word where its agent left none."""

        def ended() -> Run | None:
            if not folder.end.exists():
                self.command("runs", "show", folder.id)
            run = read_run(folder)
            return run if run.state.terminal else None

        return until(ended, f"end of {folder.id}: {read_run(folder)}", limit_s)

    def on(self, node: str, pattern: str) -> list[int]:
        """Return the processes of a node, by their command lines."""
        told = self.cluster.exec(node, ["pgrep", "-f", pattern]).stdout.split()
        return [int(pid) for pid in told]

    def clean_up(self) -> None:
        """See `Lab.clean_up`."""
        subprocess.run(["scancel", "--user=root"], env=self.env, capture_output=True, check=False)
        super().clean_up()


class OnCluster:
    """Tests of a class that launches onto the plain cluster."""

    @pytest.fixture
    def lab(self, tmp_path: Path, cluster: Cluster) -> Iterator[SlurmLab]:
        made = SlurmLab(tmp_path, cluster)
        yield made
        made.clean_up()


def options(**values: Any) -> list[str]:
    """Return options of compute as overrides."""
    return [f"compute.{key}={value}" for key, value in values.items()]
