"""A small job that finds out what a cluster's nodes have, and how soon they and this host see files."""

from __future__ import annotations

import getpass
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from launcher.agent.base.tail import tail_lines
from launcher.compute.agent_code import install
from launcher.compute.job_folders import log_name, write_script
from launcher.compute.scheduler import JobRequest, JobState
from launcher.compute.scheduler_cache import list_jobs
from launcher.compute.slurm.slurm_scheduler import SlurmScheduler
from launcher.compute.slurm.slurm_tool import slurm_tool
from launcher.errors import SubmitError
from launcher.paths import StoreFolder
from launcher.spec import plain
from launcher.store import records

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from launcher.compute.scheduler import Job, Scheduler
    from launcher.compute.slurm.options import SlurmOptions
    from launcher.spec import Resources

TIME_LIMIT_MIN = 2
"""Of the job; it takes seconds where all is well."""

PATIENCE_S = 90.0
"""At most, for the node to see a file of this host."""

GRACE_S = 5
"""In place of `compute.grace_s`, which would be most of that time."""

REMOVE_WITHIN_S = 5.0
"""For a job that ends to let go of its files."""

_POLL_S, _ASK_S = 0.05, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked of a cluster."""

    options: SlurmOptions
    resources: Resources
    """Nodes, GPUs and memory of the job."""
    store: Path
    """Where its folder is made."""
    paths: tuple[str, ...]
    """Of which it tells whether its nodes see them."""
    timeout_s: float
    """From submission to last word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What became of the job. Times are in seconds since the epoch, by this host's clock."""

    job: str | None = None
    problem: str = ""
    """Slurm's words where it refused the job, or why it waits."""
    last: Job | None = None
    """The job as Slurm had it last."""
    submitted: float = 0.0
    heard: float | None = None
    """When its first file was seen here."""
    told: float | None = None
    """When this host wrote its own."""
    answer: Mapping[str, Any] = field(default_factory=dict[str, Any])
    log: tuple[str, ...] = ()
    """Last lines that the job printed."""

    @property
    def done(self) -> bool:
        """Whether the job said all that it had to say."""
        return bool(self.answer.get("done"))


def survey(asked: Asked, say: Callable[[str], object]) -> Survey:
    """Submit the job and hear it out; it is canceled where that takes too long, and its files removed.

    Args:
        asked: what for.
        say: told what the job waits for.
    """
    name, store = f"launcher-check-{uuid4().hex[:8]}", asked.store
    made = next((folder for folder in (*reversed(store.parents), store) if not folder.exists()), None)
    folder = store / f".{name}"
    done = False
    try:
        folder.mkdir(parents=True, mode=0o700)
        found = _ask(asked, folder, say)
        done = found.done
        return found
    finally:
        if not done:  # by name: Ctrl-C may have hit before the id was known
            slurm_tool(["scancel", "--quiet", f"--user={getpass.getuser()}", f"--name={name}"])
        _remove(folder)
        with suppress(OSError):  # not empty: somebody uses it by now
            while made is not None and store.is_relative_to(made):
                store.rmdir()
                store = store.parent


def _ask(asked: Asked, folder: Path, say: Callable[[str], object]) -> Survey:
    options = replace(asked.options, grace_s=GRACE_S, dependency=None, mail_type=None, mail_user=None)
    resources = plain(replace(asked.resources, time_limit_min=TIME_LIMIT_MIN))
    orders = {
        "compute": plain(options),
        "nodes": resources["nodes"],
        "paths": asked.paths,
        "patience_s": min(asked.timeout_s, PATIENCE_S),
    }
    records.write(folder / "orders.json", orders)
    plan: dict[str, Any] = {"processes": []}
    spec = {"id": folder.name.lstrip("."), "resources": resources, "retries": 0, "plan": plan}
    scheduler = SlurmScheduler(options)
    request = JobRequest(spec=spec, folder=folder, agent=install(StoreFolder(folder)), command="survey")
    submitted = time.time()
    try:
        job = scheduler.submit(write_script(folder, scheduler.render(request)), {})
    except SubmitError as error:
        return Survey(problem=str(error), submitted=submitted)
    say(f"job {job} is submitted")
    return _hear(Survey(job=job, submitted=submitted), folder, scheduler, asked.timeout_s, say)


def _hear(
    found: Survey, folder: Path, scheduler: Scheduler, timeout_s: float, say: Callable[[str], object]
) -> Survey:
    """Return what the job answers, and when; each side waits for the other's file before it is there."""
    until = time.monotonic() + timeout_s
    next_ask = time.monotonic() + _ASK_S
    over = False
    while not over and not found.done and time.monotonic() < until:
        answer = records.read(folder / "answer.json")
        if answer is not None and found.heard is None:
            found = replace(found, heard=time.time(), told=time.time())
            records.write(folder / "seen.json", {"time": found.told})
            say("it runs")
        found = replace(found, answer=answer or {})
        if time.monotonic() >= next_ask:
            next_ask = time.monotonic() + _ASK_S
            last = list_jobs(scheduler).jobs.get(str(found.job))
            if last is not None and last != found.last:
                found = replace(found, last=last)
                if last.state is JobState.PENDING:
                    say(f"it is pending: {last.reason or last.word}")
            # The answer of a job that completed is on its way.
            over = last is not None and last.state.final and last.state is not JobState.COMPLETED
        time.sleep(_POLL_S)
    return replace(found, log=tuple(tail_lines(str(folder / log_name(scheduler.kind, None)))))


def _remove(folder: Path) -> None:
    until = time.monotonic() + REMOVE_WITHIN_S
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
        if time.monotonic() > until:
            return
        time.sleep(_POLL_S)
