"""Jobs as squeue, sacct and scontrol print them."""

from __future__ import annotations

import os
import pwd
import re
from datetime import datetime
from typing import TYPE_CHECKING, Final

from launcher.agent.base.slurm_facts import STATE_CAUSES
from launcher.compute.scheduler import Job, JobState, Lookup, SchedulerError
from launcher.compute.slurm.slurm_tool import slurm_tool

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_ALONE = 20
"""Jobs that scontrol is asked about one by one, in one turn."""

NO_OUTPUT = 53
"""The signal that Slurm reports of a job whose output file it could not open (seen with 22.05)."""

STATES: Final = {  # squeue(1); a state that is missing is unknown, and ends nothing
    "PENDING": JobState.PENDING,
    "CONFIGURING": JobState.STARTING,
    "RUNNING": JobState.RUNNING,
    "COMPLETING": JobState.ENDING,
    "STAGE_OUT": JobState.RUNNING,
    "RESIZING": JobState.RUNNING,
    "SIGNALING": JobState.RUNNING,
    "SUSPENDED": JobState.HELD,
    "STOPPED": JobState.HELD,
    "REQUEUE_HOLD": JobState.HELD,
    "SPECIAL_EXIT": JobState.HELD,
    "BOOT_FAIL": JobState.NODE_FAIL,
    "CANCELLED": JobState.CANCELED,
    "COMPLETED": JobState.COMPLETED,
    "DEADLINE": JobState.TIME_LIMIT,
    "FAILED": JobState.FAILED,
    "NODE_FAIL": JobState.NODE_FAIL,
    "OUT_OF_MEMORY": JobState.OUT_OF_MEMORY,
    "PREEMPTED": JobState.PREEMPTED,
    "TIMEOUT": JobState.TIME_LIMIT,
}

_LIST = "JobArrayID:|,State:|,Reason:|,StartTime:|,NodeList:|,EndTime:|,exit_code:|,WorkDir:"
_QUERY = "--format=JobID,State,ExitCode,NodeList,End"
_NOTHING = ("None assigned", "None", "N/A")


def list_jobs() -> list[Job]:
    """See `Scheduler.list_jobs`."""
    user = pwd.getpwuid(os.getuid()).pw_name
    done = slurm_tool(
        ["squeue", "--noheader", "--array", "--states=all", f"--user={user}", f"--Format={_LIST}"]
    )
    if done.returncode != 0:
        raise SchedulerError(done.stderr.strip() or "squeue does not answer")
    lines = [[part.strip() for part in line.split("|", 7)] for line in done.stdout.splitlines()]
    return [_listed(*line) for line in lines if len(line) == _LIST.count(",") + 1]


def query(ids: Sequence[str]) -> Lookup:
    """See `Scheduler.query`. It asks about whole arrays, because members that never began share a line."""
    arrays = ",".join(sorted({name.partition("_")[0] for name in ids}))
    done = slurm_tool(["sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={arrays}", _QUERY])
    jobs: dict[str, Job] = {}
    for line in done.stdout.splitlines():
        if line.count("|") == _QUERY.count(","):
            listed, word, code, nodes, end = line.split("|")
            jobs |= {name: _accounted(name, word.split(" ")[0], nodes, end, code) for name in members(listed)}
    for name in ids[:MOST_ALONE] if done.returncode != 0 else ():  # without accounting
        jobs |= _controlled(name)
    return Lookup(jobs, complete=done.returncode == 0)


def members(listed: str) -> list[str]:
    """Return the ids of a list such as `7_[0-2,5%4]`."""
    array, bracket, rest = listed.partition("_[")
    if not bracket:
        return [listed]
    found: list[str] = []
    for part in rest.rstrip("]").partition("%")[0].split(","):
        first, dash, last = part.partition("-")
        last, _, step = last.partition(":")
        if first.isdigit() and (last.isdigit() or not dash):
            found += [
                f"{array}_{index}" for index in range(int(first), int(last or first) + 1, int(step or 1))
            ]
    return found


def _listed(  # noqa: PLR0913, PLR0917  # the columns of `_LIST`
    name: str, word: str, reason: str, start: str, nodes: str, end: str, status: str, folder: str
) -> Job:
    number = int(status) if status.isdigit() else 0  # as wait(2) has it
    job = _job(name, word, nodes, end, number >> 8 & 0xFF, number & 0x7F)
    return job._replace(reason=_text(reason), start=_text(start), folder=folder)


def _accounted(name: str, word: str, nodes: str, end: str, status: str) -> Job:
    code, _, signum = status.partition(":")
    return _job(name, word, nodes, end, *(map(int, (code, signum or 0)) if code.isdigit() else (0, 0)))


def _controlled(name: str) -> dict[str, Job]:
    done = slurm_tool(["scontrol", "show", "job", "--oneliner", name])
    fields = dict(re.findall(r"(\w+)=(\S*)", done.stdout))
    if "JobState" not in fields:
        return {}
    nodes, end = fields.get("NodeList", ""), fields.get("EndTime", "")
    return {name: _accounted(name, fields["JobState"], nodes, end, fields.get("ExitCode", ""))}


def _job(name: str, word: str, nodes: str, end: str, code: int = 0, signum: int = 0) -> Job:  # noqa: PLR0913, PLR0917  # as printed
    state = STATES.get(word, JobState.UNKNOWN)
    return Job(
        name,
        JobState.NO_OUTPUT if state is JobState.FAILED and signum == NO_OUTPUT else state,
        word,
        nodes=_text(nodes),
        ended=_time(end),
        exit_code=code,
        signal=signum,
        message=STATE_CAUSES.get(word, ("", ""))[1],
    )


def _text(printed: str) -> str:
    return "" if printed in _NOTHING else printed


def _time(printed: str) -> float:
    try:
        return datetime.fromisoformat(printed).timestamp()
    except ValueError:
        return 0.0
