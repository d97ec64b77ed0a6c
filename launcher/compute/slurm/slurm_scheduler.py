"""Slurm behind the port of schedulers: sbatch, squeue, sacct, scontrol, scancel."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, ClassVar

from launcher.agent.base.tools import failure
from launcher.compute.scheduler import JobState
from launcher.compute.slurm import cluster_limits, queue
from launcher.compute.slurm.script import render
from launcher.compute.slurm.slurm_tool import slurm_tool
from launcher.errors import SubmitError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from launcher.compute.scheduler import Job, JobRequest
    from launcher.compute.slurm.options import SlurmOptions

TRIES_S = (1.0, 4.0, 10.0, 20.0)
"""Pauses between tries while the controller does not answer."""

_BUSY = (
    "Unable to contact slurm controller",
    "Socket timed out",
    "Connection refused",
    "Resource temporarily",
)
"""What sbatch prints if another try may help; anything else is a refusal."""

_CANCELED = "CANCELLED AT"
"""What Slurm writes into the log of a job that somebody has canceled while it ran (seen with 22.05)."""

_CANCEL_AT_ONCE = 500
"""Jobs in one call of scancel."""


class SlurmScheduler:
    """See `Scheduler`."""

    kind: ClassVar[str] = "slurm"
    title: ClassVar[str] = "Slurm"
    program: ClassVar[str] = "sbatch"
    list_jobs = staticmethod(queue.list_jobs)
    query = staticmethod(queue.query)
    limits = staticmethod(cluster_limits.limits)

    def __init__(self, options: SlurmOptions) -> None:
        self._options = options

    @property
    def site(self) -> str:
        """See `Scheduler.site`."""
        return os.environ.get("SLURM_CONF", "")

    def render(self, request: JobRequest) -> str:
        """See `Scheduler.render`."""
        return render(self._options, request)

    def submit(self, script: Path, variables: Mapping[str, str]) -> str:
        """See `Scheduler.submit`."""
        from submitit import SlurmExecutor  # noqa: PLC0415  # 130 ms that only a submission needs

        for pause in (*TRIES_S, None):
            done = slurm_tool(["sbatch", str(script)], variables)
            if done.returncode == 0:
                read: Any = SlurmExecutor._get_job_id_from_submission_command  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
                return str(read(done.stdout))
            words = _words(done.stderr) or failure(done)
            if pause is None or not any(word in words for word in _BUSY):
                raise SubmitError(f"sbatch: {words}")
            time.sleep(pause)
        raise AssertionError

    def cancel(self, ids: Sequence[str]) -> str:
        """See `Scheduler.cancel`."""
        calls = [
            slurm_tool(["scancel", "--quiet", *ids[first : first + _CANCEL_AT_ONCE]])
            for first in range(0, len(ids), _CANCEL_AT_ONCE)
        ]
        return "; ".join(failure(done) for done in calls if done.returncode != 0)

    def refine(self, job: Job, log: Sequence[str]) -> Job:
        """See `Scheduler.refine`. Slurm also reports a job CANCELLED if its prolog has failed."""
        if job.state is not JobState.CANCELED or not job.nodes or any(_CANCELED in line for line in log):
            return job
        words = log[-1] if log else "Slurm gives no reason; the logs of slurmctld and slurmd do"
        message = f"Slurm could not start job {job.id} on {job.nodes}: {words}"
        return job._replace(state=JobState.NOT_STARTED, message=message)

    def member_id(self, job: str, index: int) -> str:
        """See `Scheduler.member_id`."""
        return f"{job}_{index}"

    def array_id(self, job: str) -> str:
        """See `Scheduler.array_id`."""
        return job.partition("_")[0]


def _words(text: str) -> str:
    said = [line.removeprefix("sbatch: error: ") for line in text.splitlines() if line.startswith("sbatch: ")]
    return "; ".join(said) or text.strip()
