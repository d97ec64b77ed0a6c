"""A scheduler's answers, shared by all processes of a user, who ask it at most 12 times a minute together."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from launcher.compute.scheduler import Job, JobState, SchedulerError
from launcher.facts import Cluster, Partition
from launcher.limits import MEMBERS
from launcher.paths import cache_root
from launcher.spec import plain
from launcher.store import records

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from launcher.compute.scheduler import Lookup, Scheduler

LIST_EVERY_S = 7.5
"""Eight lists of all jobs a minute."""

QUERY_EVERY_S = 15.0
"""And four questions about jobs that are no longer listed."""

LIMITS_KEEP_S = 600.0
"""Limits seldom change, and the scheduler checks them again when it accepts a job."""

LEASE_S = 90.0
"""After which the process that asks is taken to be gone."""


class JobList(NamedTuple):
    """A scheduler's last list of jobs."""

    time: float
    """Seconds since the epoch, 0 if it has never answered."""
    jobs: dict[str, Job]
    problem: str
    """The scheduler's words if it does not answer."""


def list_jobs(scheduler: Scheduler, *, anew: bool = False) -> JobList:
    """Return a user's jobs, from a list at most `LIST_EVERY_S` old unless the scheduler does not answer.

    Args:
        scheduler: to ask.
        anew: ask in any case, such as after a change.
    """
    # Launchers of several versions share the folder: another form of `Job` needs another name.
    path = _path(scheduler, "jobs")
    found = records.read(path) or {"time": 0.0, "asked": 0.0, "jobs": [], "problem": ""}
    if anew:
        found = _ask(scheduler, found)
        records.write(path, found)
    elif _is_old(found, LIST_EVERY_S):
        with _lease(path) as is_ours:
            if is_ours:
                found = records.read(path) or found  # the previous holder may just have asked
                if _is_old(found, LIST_EVERY_S):
                    found = _ask(scheduler, found)
                    records.write(path, found)
    jobs = [Job(fields[0], JobState(fields[1]), *fields[2:]) for fields in found["jobs"]]
    return JobList(found["time"], {job.id: job for job in jobs}, found["problem"])


def query(scheduler: Scheduler, ids: Sequence[str]) -> Lookup | None:
    """Return what a scheduler knows of jobs that it no longer lists; None if it is too early to ask again."""
    path = _path(scheduler, "asked")
    if not _is_old(records.read(path), QUERY_EVERY_S):
        return None
    with _lease(path) as is_ours:
        if not is_ours or not _is_old(records.read(path), QUERY_EVERY_S):  # somebody has just asked
            return None
        records.write(path, {"asked": time.time()})
        return scheduler.query(ids)


def read_limits(scheduler: Scheduler) -> Cluster | None:
    """Return the limits of the cluster that this host submits to; None if it submits to none."""
    if shutil.which(scheduler.program) is None:
        return None
    path = _path(scheduler, "limits", user=False)
    found = records.read(path) or {"time": 0.0}
    if not 0 <= time.time() - found["time"] < LIMITS_KEEP_S:
        cluster = scheduler.limits()
        if cluster.partitions:
            with suppress(OSError):  # asked again next time
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                records.write(path, {"time": time.time(), **plain(cluster)})
        return cluster
    return Cluster(
        partitions={name: Partition(**part) for name, part in found["partitions"].items()},
        default_partition=found["default_partition"],
        max_array=found["max_array"],
        max_jobs=found.get("max_jobs", MEMBERS),  # older launchers did not record it
        pmi=tuple(found.get("pmi") or ()),
    )


def _ask(scheduler: Scheduler, before: dict[str, Any]) -> dict[str, Any]:
    now = time.time()  # the answer may be as old as the question
    try:
        return {"time": now, "asked": now, "jobs": scheduler.list_jobs(), "problem": ""}
    except SchedulerError as error:
        return {**before, "asked": now, "problem": str(error)}


def _is_old(found: dict[str, Any] | None, every_s: float) -> bool:
    return time.time() - (found or {"asked": 0.0})["asked"] >= every_s


def _path(scheduler: Scheduler, name: str, *, user: bool = True) -> Path:
    which = f"{scheduler.site}\0{os.uname().nodename}" + (f"\0{os.getuid()}" if user else "")
    folder = cache_root() / scheduler.kind
    if user:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder / f"{name}-{hashlib.sha256(os.fsencode(which)).hexdigest()[:12]}.json"


@contextmanager
def _lease(path: Path) -> Generator[bool]:
    """Yield whether this process is the one to ask."""
    lease = path.with_suffix(".lease")
    if records.create(lease, {"owner": records.owner(), "time": time.time()}):
        try:
            yield True
        finally:
            records.remove(lease)
        return
    holder = records.read(lease)
    if holder is None or time.time() - holder["time"] > LEASE_S or records.alive(holder["owner"]) is False:
        records.remove(lease)
    yield False
