"""A cancel works in every phase of a job; tests of jobs have those that wait in the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.spec import State
from tests.integration.cancels import IGNORES, check_cancel, until_state
from tests.integration.conftest import until
from tests.integration.test_cancel_phases import slow_package

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.slurm.lab import SlurmLab


def test_while_a_job_builds_its_environment(lab: SlurmLab, tmp_path: Path) -> None:
    lab.script("print('never')")
    package, mark = slow_package(tmp_path)
    launch = lab.start("environment=packages", package, "environment.build_on=job")
    until(mark.exists, "the build begins")
    check_cancel(lab, launch)


def test_while_a_job_sets_up(lab: SlurmLab, tmp_path: Path) -> None:
    """Its agent has not begun."""
    lab.script("print('never')")
    launch = lab.start(f"compute.setup=[touch {tmp_path}/began,sleep 600]")
    until((tmp_path / "began").exists, "the job's script begins")
    check_cancel(lab, launch)


def test_while_agents_start(lab: SlurmLab) -> None:
    lab.script(IGNORES)
    launch = lab.start("distribution=torch", "nodes=2")
    until_state(lab, State.STARTING, State.RUNNING)
    check_cancel(lab, launch)


def test_while_processes_run(lab: SlurmLab) -> None:
    lab.script(IGNORES)
    launch = lab.start("distribution=torch", "nodes=2")
    lab.running(lab.run(), "up", rank=1)
    check_cancel(lab, launch)
