"""Ends runs by their scheduler's word if their agents cannot any more, and says why runs wait."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from launcher.agent.base.failure_kinds import FailureKind
from launcher.agent.base.shared_fs import list_uncached
from launcher.agent.base.tail import tail_lines
from launcher.compute.job_folders import job_ref, read_job_id
from launcher.compute.scheduler import BY_SCHEDULER, Job, JobState
from launcher.compute.scheduler_cache import list_jobs, query
from launcher.compute.start_script import FAILED_SETUP, LOST_PYTHON, LOST_STORE, SETUP
from launcher.spec import State
from launcher.store import records
from launcher.store.runs import finish

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.compute.job_folders import JobRef
    from launcher.compute.scheduler import Lookup, Scheduler
    from launcher.compute.scheduler_cache import JobList
    from launcher.paths import RunFolder

SURE_AFTER_S = 10.0
"""After a submission: a job that the scheduler does not know then, it never knew."""

LAST_WORDS_S = 2.0
"""For the last record of an agent to be seen here after its job's end."""

REQUEUE_WITHIN_S = 60.0
"""For the scheduler to requeue a job that lost its node or was preempted."""


class _Entry(NamedTuple):
    """A run with its job."""

    run: RunFolder
    ref: JobRef
    id: str | None


def reconcile(scheduler: Scheduler, runs: Iterable[tuple[RunFolder, JobRef]]) -> dict[RunFolder, str]:
    """End the runs whose jobs have ended; return what the scheduler says of those that wait."""
    listing = list_jobs(scheduler)
    reasons: dict[RunFolder, str] = {}
    unlisted: list[_Entry] = []
    for run, ref in runs:
        entry = _Entry(run, ref, read_job_id(ref, scheduler, listing.jobs.values()))
        if _is_unlisted(scheduler, entry, listing, reasons):
            unlisted.append(entry)
    old = [entry for entry in unlisted if listing.time > _submitted_at(entry) + SURE_AFTER_S]
    ids = [entry.id for entry in old if entry.id is not None]
    if not old or listing.problem or (found := query(scheduler, ids)) is None:
        return reasons
    for entry in old:
        job = found.jobs.get(entry.id or "") or _gone(scheduler, entry, listing, found)
        if job is not None and job.state.final:
            _end(scheduler, entry, job)
    return reasons


def _is_unlisted(
    scheduler: Scheduler, entry: _Entry, listing: JobList, reasons: dict[RunFolder, str]
) -> bool:
    """Settle a run by the list of jobs, or note why it waits; return whether the list lacks its job."""
    job = listing.jobs.get(entry.id or "")
    if listing.problem and job is None:
        reasons[entry.run] = f"{scheduler.title} does not answer: {listing.problem}"
    if entry.id is None:
        _end_unsubmitted(entry, listing)
    elif _left_queue(entry, job, listing):
        cause = {"kind": FailureKind.CANCEL, "message": "canceled while queued", "phase": str(State.QUEUED)}
        finish(entry.run, State.CANCELED, cause)
    elif job is None:
        return True
    elif job.state.final:
        _end(scheduler, entry, job)
    else:
        reasons |= _waits(entry, job, listing.time)
    return False


def _left_queue(entry: _Entry, job: Job | None, listing: JobList) -> bool:
    """Return whether a canceled run never began and its job has left the queue."""
    canceled = records.read(entry.run.cancel)
    if canceled is None or listing.problem or entry.run.attempts():
        return False
    if job is None:
        asked = canceled.get("time")
        return isinstance(asked, (int, float)) and listing.time > max(asked, _submitted_at(entry))
    return job.state is JobState.CANCELED and not job.nodes


def _gone(scheduler: Scheduler, entry: _Entry, listing: JobList, found: Lookup) -> Job | None:
    """Return the end of an array's member that the scheduler has no record of, although it knows others.

    Either it was canceled before it began, or the scheduler has lost its state: nobody can tell which.
    """
    if entry.id is None or entry.ref.index is None or not found.complete:
        return None
    array = scheduler.array_id(entry.id)
    known = any(scheduler.array_id(other) == array for other in (*listing.jobs, *found.jobs))
    return Job(entry.id, JobState.GONE, "GONE") if known else None


def _submitted_at(entry: _Entry) -> float:
    try:
        return (entry.ref.folder / "id.json").stat().st_mtime
    except OSError:
        return time.time()


def _end_unsubmitted(entry: _Entry, listing: JobList) -> None:
    """End a run whose launcher died before it submitted: no job came from its folder."""
    submit = records.read(entry.run.submit) or {}
    phases: list[tuple[str, float]] = submit.get("phases") or []
    queued = max((when for phase, when in phases if phase == State.QUEUED), default=0.0)
    gone = records.alive(submit["owner"]) is False if submit.get("owner") else True
    if gone and not listing.problem and listing.time > queued + SURE_AFTER_S:
        message = "the launcher of this run is gone; it was not submitted"
        cause = {"phase": str(State.QUEUED), "kind": FailureKind.LAUNCHER_LOST, "message": message}
        finish(entry.run, State.FAILED, cause)


def _waits(entry: _Entry, job: Job, asked: float) -> dict[RunFolder, str]:
    if job.state is JobState.PENDING:
        numbers = entry.run.attempts()
        if numbers and asked > _began(entry.run, numbers[-1]) + SURE_AFTER_S:  # else it has begun since
            _record_lost(entry, numbers[-1], job)
        start = f", expected start {job.start.replace('T', ' ')}" if job.start else ""
        reason = f": {job.reason}" if job.reason else ""
        return {entry.run: f"job {job.id} is pending{reason}{start}"}
    if job.state is JobState.STARTING:
        return {entry.run: f"job {job.id}: nodes are powering up"}
    return {entry.run: f"job {job.id} is {job.word}"} if job.state is JobState.HELD else {}


def _began(run: RunFolder, number: int) -> float:
    try:
        return run.attempt_state(number).stat().st_mtime
    except OSError:
        return time.time()


def _record_lost(entry: _Entry, number: int, job: Job) -> None:
    """Record that an attempt's job went back into the queue, if its agent could not."""
    state = records.read(entry.run.attempt_state(number)) or {}
    phases = state.get("phases") or ()
    if not phases or phases[-1][0] != State.QUEUED:
        message = f"job {job.id} was requeued" + (f": {job.reason}" if job.reason else "")
        word = {"schema": 1, "time": records.now(), "message": message}
        with suppress(OSError):  # in a full store the next reader tries again
            records.create(entry.run.attempt_lost(number), word)


def _end(scheduler: Scheduler, entry: _Entry, job: Job) -> None:
    numbers = entry.run.attempts()
    spec = records.read(entry.run.spec) or {}
    left = int(spec.get("retries") or 0) - (numbers[-1] if numbers else 0)
    may_return = job.state in {JobState.NODE_FAIL, JobState.PREEMPTED} and left > 0
    if time.time() - job.ended < (REQUEUE_WITHIN_S if may_return else LAST_WORDS_S) or entry.run.end.exists():
        return
    if left > 0 and _was_resubmitted(scheduler, entry):
        return
    state = records.read(entry.run.attempt_state(numbers[-1])) if numbers else None
    outcome, cause = (state or {}).get("outcome"), (state or {}).get("cause")
    if outcome is None or job.state in BY_SCHEDULER:
        outcome, cause = _judge(scheduler, entry, job, state)
        if state is not None and job.state is JobState.COMPLETED and not (job.exit_code or job.signal):
            outcome, cause = State.COMPLETED, None  # an agent exits so only if its run completed
    finish(entry.run, State(outcome), cause, attempt=numbers[-1] if state is not None else None)


def _was_resubmitted(scheduler: Scheduler, entry: _Entry) -> bool:
    """Return whether its agent has submitted it once more, which a cached listing would not show."""
    with suppress(OSError):  # the run may be being deleted
        list_uncached(str(entry.ref.folder))
    ref = job_ref(entry.run)
    return ref is not None and read_job_id(ref, scheduler) not in {None, entry.id}


def _judge(
    scheduler: Scheduler, entry: _Entry, job: Job, state: dict[str, Any] | None
) -> tuple[State, dict[str, Any]]:
    """Return how a run ended whose agent did not record it."""
    lines = list(tail_lines(str(entry.ref.log)))
    job = scheduler.refine(job, lines)
    outcome, kind, message = State.FAILED, FailureKind.AGENT_LOST, job.message
    if entry.run.cancel.exists():
        outcome, kind, message = State.CANCELED, FailureKind.CANCEL, "canceled"
    elif job.state is JobState.CANCELED:
        outcome, kind = State.CANCELED, FailureKind.CANCEL
    elif job.state in BY_SCHEDULER:
        kind = FailureKind(job.state)
    elif state is not None:
        ended = _describe(scheduler, job)
        message = f"the agent of {_name(job)} ended without a word ({ended})"
    else:
        kind, message = _why_not_begun(scheduler, entry, job, lines)
    phases = (state or {}).get("phases") or [[str(State.QUEUED), 0.0]]
    cause = {"kind": kind, "message": message, "phase": phases[-1][0], "last_lines": lines}
    return outcome, cause | {"node": job.nodes or None}


def _why_not_begun(
    scheduler: Scheduler, entry: _Entry, job: Job, lines: list[str]
) -> tuple[FailureKind, str]:
    """Return kind and message for a job whose agent did not begin."""
    title, ended = scheduler.title, _describe(scheduler, job)
    kind, message = FailureKind.AGENT_LOST, f"{_name(job)} ended before its agent began ({ended})"
    if job.state is JobState.GONE:
        lost = f"it was canceled before it began, or {title} lost it"
        message = f"{title} knows nothing of job {job.id} any more: {lost}"
    elif job.exit_code == FAILED_SETUP:
        found = (line for line in reversed(lines) if line.startswith(SETUP))
        kind, message = FailureKind.START, next(found, f"{SETUP}a line failed")
    elif job.exit_code == LOST_STORE or job.state is JobState.NO_OUTPUT:
        message = f"{job.nodes} does not see the store {entry.run.root.parents[2]} ({ended})"
    elif job.exit_code == LOST_PYTHON:
        message = f"{job.nodes} has no Python for the agent; set compute.python ({ended})"
    elif job.state is JobState.NOT_STARTED:
        kind, message = FailureKind.NODE_FAIL, job.message
    return kind, message


def _name(job: Job) -> str:
    return f"job {job.id} on {job.nodes}" if job.nodes else f"job {job.id}"


def _describe(scheduler: Scheduler, job: Job) -> str:
    signum = f", signal {job.signal}" if job.signal else ""
    return f"{scheduler.title} says {job.word}, exit code {job.exit_code}{signum}"
