"""Random processes of jobs are killed at random moments: every verdict is true, and nothing is left."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launcher.agent.base.tmp import tmp_folder
from launcher.compute.jobs import job_of
from tests.integration.kills import KILLS, Driver

if TYPE_CHECKING:
    from launcher.paths import RunFolder
    from tests.integration.slurm.lab import SlurmLab

TWO = ("nodes=2", "compute.login_shell=false")
SHAPES = [
    ("compute.login_shell=false",),
    ("distribution=torch", *TWO),
    ("distribution=torch", "retries=1", *TWO),
    ("retries=1", "compute.login_shell=false"),
    *([("distribution=mpi", *TWO)] if shutil.which("mpirun") else []),
]


def steps(folder: RunFolder) -> list[int]:
    """Return the processes of Slurm that manage a run's job."""
    job = job_of(folder)
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if job is not None and line.startswith(f"slurmstepd: [{job.id}.".encode()):
            found.append(int(path.parent.name))
    return found


@pytest.mark.slow
def test_verdicts_are_true(lab: SlurmLab) -> None:
    def kept(folder: RunFolder) -> list[str]:
        marks = [f"{folder.root}#{attempt}#{node}" for attempt in range(3) for node in range(2)]
        names = [tmp_folder(mark) for mark in marks]
        return [
            f"{node} {name}"
            for node in lab.cluster.nodes
            for name in lab.cluster.exec(node, ["ls", "-d", *names]).stdout.split()
        ]

    driver = Driver(lab, SHAPES, steps, lambda folder: lab.over(folder, 180), kept, runs=-(-KILLS // 2))
    driver.drive()
    assert driver.false == []
