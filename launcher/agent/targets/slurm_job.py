"""Slurm's programs, and what they say of a job."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..base.tools import output


class JobTime(NamedTuple):
    """A job's time limit and run time in Slurm, which an administrator may change at any moment."""

    limit_s: float
    """Infinite where there is none."""
    ran_s: float
    """Without what it was suspended for."""
    preempted: bool
    """Whether it has to make room for another."""


def job_time(job: str) -> JobTime | None:
    """Return the time of a job; None where Slurm does not answer."""
    told = job_fields(job)
    limit, ran = seconds(told.get("TimeLimit", "")), seconds(told.get("RunTime", ""))
    if limit is None or ran is None:
        return None
    return JobTime(limit, ran, told.get("PreemptTime", "None") != "None")


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
