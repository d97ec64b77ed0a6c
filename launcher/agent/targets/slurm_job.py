"""Slurm's programs, and what they say of a job."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, NamedTuple

from ..base import atomic_json
from ..base.secret_env import carriers
from ..base.tail import tail
from ..base.tools import failure, output, refusal, run_tool

if TYPE_CHECKING:
    from collections.abc import Callable

KILL_WAIT_S = 120.0
"""For Slurm to kill the job that asked to be requeued."""

_WORDS = (
    ("TIME LIMIT", "TIMEOUT"),
    ("PREEMPTION", "PREEMPTED"),
    ("NODE FAILURE", "NODE_FAIL"),
    ("JOB REQUEUE", "REQUEUED"),
)
"""How Slurm's line about the end of a job begins its reason, and the state of the job."""


class JobTime(NamedTuple):
    """A job's time limit and run time in Slurm, which an administrator may change at any moment."""

    limit_s: float
    """Infinite where there is none."""
    ran_s: float
    """Without what it was suspended for."""
    preempted: bool
    """Whether it has to make room for another."""


def job_fields(job: str) -> dict[str, str]:
    """Return what `scontrol` shows of a job; nothing where Slurm does not answer."""
    return dict(re.findall(r"(\w+)=(\S*)", output(["scontrol", "show", "job", "--oneliner", job])))


def seconds(text: str) -> float | None:
    """Return a duration of Slurm's, such as `1-02:30:00`; None where it is none."""
    if text == "UNLIMITED":
        return float("inf")
    found = re.match(r"(?:(\d+)-)?(\d+):(\d+):(\d+)$", text)
    if found is None:
        return None
    days, hours, minutes, rest = (int(part or 0) for part in found.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + rest)


class SlurmJob:
    """The job that this process runs in."""

    def __init__(self, folder: str, alone: bool) -> None:
        """Read its names from the environment.

        Args:
            folder: where it was submitted from, with its script.
            alone: submit it again so that it does not run beside another of its name.
        """
        self._folder = folder
        self._alone = alone
        self._index = os.environ.get("SLURM_ARRAY_TASK_ID")
        self._log = "slurm.log" if self._index is None else "slurm-%s.log" % self._index
        array = os.environ.get("SLURM_ARRAY_JOB_ID")
        self.id = "%s_%s" % (array, self._index) if array else os.environ["SLURM_JOB_ID"]

    def time(self) -> JobTime | None:
        """Return its time; None where Slurm does not answer."""
        fields = job_fields(self.id)
        limit, ran = seconds(fields.get("TimeLimit", "")), seconds(fields.get("RunTime", ""))
        if limit is None or ran is None:
            return None
        return JobTime(limit, ran, fields.get("PreemptTime", "None") != "None")

    def state(self) -> str:
        """Return why Slurm ends it, as one of its states; empty where it does not tell.

        `scontrol` says only COMPLETING by then, but the step's daemon has left a line in the job's log.
        """
        pattern = (
            r"\*\*\* JOB %s ON \S+ CANCELLED AT [\d:T-]+(?: DUE TO ([A-Z ]+))?" % os.environ["SLURM_JOB_ID"]
        )
        reasons = re.findall(pattern, tail(os.path.join(self._folder, self._log)))
        if reasons:
            return next((state for words, state in _WORDS if reasons[-1].startswith(words)), "CANCELLED")
        states = output(
            ["sacct", "--noheader", "--parsable2", "--allocations", "--format=State", "--jobs", self.id]
        )
        return (states.split() or [""])[0]

    def is_requeued(self, number: int) -> bool:
        """Return whether it is started again after an attempt, as far as is known."""
        began = int(os.environ.get("SLURM_RESTART_COUNT") or 0)
        return int(job_fields(self.id).get("Restarts") or 0) > began or os.path.exists(self._id_file(number))

    def requeue(self, number: int, asked: Callable[[], bool]) -> bool:
        """Have it requeued, or submit it once more where that is refused; return whether it starts again.

        Args:
            number: of the attempt that is over.
            asked: whether this process has been asked to end.
        """
        refused = refusal(["scontrol", "requeue", self.id])
        if refused is None:
            until = time.monotonic() + KILL_WAIT_S
            while time.monotonic() < until and not asked():
                time.sleep(0.2)  # Slurm asks this process to end, and kills it after KillWait
            return True
        refused = self._submit_again(number)
        if refused is not None:
            atomic_json.complain("neither requeued nor submitted again: %s" % refused)
        return refused is None

    def _submit_again(self, number: int) -> str | None:
        """Submit the job's script once more; return why that was refused, None where it was not."""
        argv = ["sbatch", "--parsable"]
        if self._index is not None:
            argv.append("--array=%s" % self._index)
            if self._alone:  # it is the last one: of two arrays too many could run
                argv.append("--dependency=singleton")
        argv.append(os.path.join(self._folder, "job.sh"))
        done = run_tool(argv, clean=True, more=carriers(os.environ))
        job = done.stdout.strip().split(";")[0]
        if done.returncode != 0 or not job.isdigit():
            return failure(done)
        atomic_json.create(self._id_file(number), {"schema": atomic_json.SCHEMA, "id": job})
        return None

    def _id_file(self, number: int) -> str:
        """Return where the id of the job is recorded that comes after an attempt, where it is another one."""
        middle = "" if self._index is None else "%s." % self._index
        return os.path.join(self._folder, "id.%s%d.json" % (middle, number))
