"""What Hydra's plugins do: jobs of a sweeper as runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.utils import JobReturn, JobStatus

from launcher.config.hydra_cli import jobs
from launcher.errors import LauncherError
from launcher.launch import SIGNALED, launch_sweep
from launcher.spec import State
from launcher.view import cause_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hydra.core.config_loader import ConfigLoader
    from omegaconf import DictConfig

    from launcher.spec import LaunchRequest


def launch_jobs(
    loader: ConfigLoader, master: DictConfig, batch: Sequence[Sequence[str]], first: int
) -> list[JobReturn]:
    """Launch a batch side by side and return what the sweeper wants to know of each.

    Raises:
        ConfigError: with everything that is wrong with a job.
    """
    made = list(jobs(loader, master, batch, first))
    Path(str(master.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)  # sweepers put their results there
    outcomes = launch_outcomes([request for _, request in made])
    returns: list[JobReturn] = []
    for overrides, (config, _), outcome in zip(batch, made, outcomes, strict=True):
        job = JobReturn(overrides=list(overrides), cfg=config, task_name="launcher")
        job.status = JobStatus.FAILED if isinstance(outcome, LauncherError) else JobStatus.COMPLETED
        job.return_value = outcome
        returns.append(job)
    return returns


def launch_outcomes(requests: Sequence[LaunchRequest]) -> list[float | LauncherError | None]:
    """Launch runs side by side; return the objective of each, or why it has none."""
    result = launch_sweep(requests)
    if result.exit_code > SIGNALED:
        sys.exit(result.exit_code)  # nobody waits for the other jobs of the sweeper either
    outcomes: list[float | LauncherError | None] = []
    for run, objective, request in zip(result.runs, result.objectives, requests, strict=True):
        if run is not None and run.state is not State.COMPLETED:
            outcomes.append(LauncherError(f"{run.id} {run.state}{cause_text(run)}"))
        elif run is not None and objective is None and request.spec.objective is not None:
            outcomes.append(LauncherError(f"{run.id} logged no metric {request.spec.objective!r}"))
        else:
            outcomes.append(objective)
    return outcomes


def launch_one(request: LaunchRequest) -> float | None:
    """Launch one run for somebody else's launcher; return its objective.

    Raises:
        LauncherError: it failed.
    """
    [outcome] = launch_outcomes([request])
    if isinstance(outcome, LauncherError):
        raise outcome
    return outcome
