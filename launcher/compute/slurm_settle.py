"""Ends runs by the scheduler's word where their agents cannot any more, and tells why runs wait."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from launcher.agent.base.shared_fs import list_uncached
from launcher.agent.base.slurm_facts import STATE_CAUSES
from launcher.agent.base.tail import tail_lines
from launcher.compute.slurm_queue import (
    FINAL,
    Answer,
    Job,
    Told,
    ask_about,
    job_folder,
    job_id,
    job_log,
    queue,
)
from launcher.compute.slurm_script import FAILED_SETUP, LOST_PYTHON, LOST_STORE, SETUP
from launcher.spec import State
from launcher.store import records
from launcher.store.runs import finish

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from launcher.paths import RunFolder

SURE_AFTER_S = 10.0
"""After a submission: what the scheduler does not know then, it never knew."""

LAST_WORDS_S = 2.0
"""For the word of an agent to be seen here after its job's end."""

NO_OUTPUT = 53
"""The signal that Slurm tells of where it could not open the job's output file (seen with 22.05)."""

REQUEUE_WITHIN_S = 60.0
"""For Slurm to requeue a job that lost its node or its place."""

GONE = "GONE"
"""In place of a state, of a job that Slurm knows nothing of any more."""

CANCELED = "CANCELLED AT"
"""What Slurm writes into the log of a job that somebody has canceled while it ran (seen with 22.05)."""

NOWHERE = ("", "None assigned")
"""The nodes of a job that never began."""

_REQUEUED = ("NODE_FAIL", "PREEMPTED")


class _Place(NamedTuple):
    """A run with its job."""

    run: RunFolder
    folder: Path
    id: str | None
    log: Path


def settle(runs: Iterable[RunFolder]) -> dict[RunFolder, str]:
    """End the runs whose jobs are over; return what the scheduler says of those that wait."""
    answer = queue()
    said: dict[RunFolder, str] = {}
    unknown: list[_Place] = []
    for run in runs:
        found = None if run.end.exists() else job_folder(run)
        if found is None:
            continue
        place = _Place(run, found[0], job_id(*found, answer.jobs.values()), job_log(*found))
        if _unlisted(place, answer, said):
            unknown.append(place)
    settled = [place for place in unknown if answer.time > _age_of(place) + SURE_AFTER_S]
    if settled and not answer.problem:
        told = ask_about([place.id for place in settled if place.id is not None])
        for place in settled if told is not None else ():
            job = told.jobs.get(place.id or "") if told is not None else None
            job = job or _vanished(place.id or "", answer, told)
            if job is not None and (job.state in FINAL or job.state == GONE):
                _over(place, job)
    return said


def _unlisted(place: _Place, answer: Answer, said: dict[RunFolder, str]) -> bool:
    """Settle a run by squeue's list, or note why it waits; return whether the list lacks its job."""
    job = answer.jobs.get(place.id or "")
    if answer.problem and job is None:
        said[place.run] = f"Slurm does not answer: {answer.problem}"
    if place.id is None:
        _never_submitted(place, answer)
    elif _left_queue(place, job, answer):
        cause = {"kind": "cancel", "message": "canceled while queued", "phase": str(State.QUEUED)}
        finish(place.run, State.CANCELED, cause)
    elif job is None:
        return True
    elif job.state in FINAL:
        _over(place, job)
    else:
        said |= _waits(place, job, answer.time)
    return False


def _left_queue(place: _Place, job: Job | None, answer: Answer) -> bool:
    """Return whether a canceled run never began and its job has left the queue."""
    canceled = records.read(place.run.cancel)
    if canceled is None or answer.problem or place.run.attempts():
        return False
    if job is None:
        asked = canceled.get("time")
        return isinstance(asked, (int, float)) and answer.time > max(asked, _age_of(place))
    return job.state == "CANCELLED" and job.nodes in NOWHERE


def _vanished(name: str, answer: Answer, told: Told | None) -> Job | None:
    """Return the end of an array's member that Slurm knows nothing of any more, although it knows others.

    Either it was canceled before it began, or Slurm has lost its state: nobody can tell which.
    """
    array, several, _ = name.partition("_")
    if not several or told is None or not told.whole:
        return None
    known = any(other.partition("_")[0] == array for other in (*answer.jobs, *told.jobs))
    return Job(name, GONE, "", "", "", "", "", "") if known else None


def _age_of(place: _Place) -> float:
    try:
        return (place.folder / "id.json").stat().st_mtime
    except OSError:
        return time.time()


def _never_submitted(place: _Place, answer: Answer) -> None:
    """End a run whose launcher died before sbatch was called: no job was submitted from its folder."""
    submit = records.read(place.run.submit) or {}
    phases: list[tuple[str, float]] = submit.get("phases") or []
    queued = max((when for phase, when in phases if phase == State.QUEUED), default=0.0)
    gone = records.alive(submit["owner"]) is False if submit.get("owner") else True
    if gone and not answer.problem and answer.time > queued + SURE_AFTER_S:
        message = "the launcher of this run is gone; it was not submitted"
        finish(
            place.run, State.FAILED, {"phase": str(State.QUEUED), "kind": "launcher_lost", "message": message}
        )


def _waits(place: _Place, job: Job, asked: float) -> dict[RunFolder, str]:
    if job.state == "PENDING":
        numbers = place.run.attempts()
        if numbers and asked > _began(place.run, numbers[-1]) + SURE_AFTER_S:  # else it has begun since
            _lost(place, numbers[-1], job)
        start = "" if job.start in {"", "N/A"} else f", expected start {job.start.replace('T', ' ')}"
        reason = "" if job.reason in {"", "None"} else f": {job.reason}"
        return {place.run: f"job {job.id} is pending{reason}{start}"}
    if job.state == "CONFIGURING":
        return {place.run: f"job {job.id}: nodes are powering up"}
    if job.state in {"SUSPENDED", "STOPPED", "REQUEUE_HOLD", "SPECIAL_EXIT"}:
        return {place.run: f"job {job.id} is {job.state}"}
    return {}


def _began(run: RunFolder, number: int) -> float:
    try:
        return run.attempt_state(number).stat().st_mtime
    except OSError:
        return time.time()


def _lost(place: _Place, number: int, job: Job) -> None:
    """Record that an attempt's job went back into the queue, where its agent could not."""
    state = records.read(place.run.attempt_state(number)) or {}
    phases = state.get("phases") or ()
    if not phases or phases[-1][0] != State.QUEUED:
        word = {"schema": 1, "time": records.now(), "message": f"job {job.id} was requeued: {job.reason}"}
        with suppress(OSError):  # in a full store it is told again
            records.create(place.run.attempt_lost(number), word)


def _over(place: _Place, job: Job) -> None:
    numbers = place.run.attempts()
    spec = records.read(place.run.spec) or {}
    left = int(spec.get("retries") or 0) - (numbers[-1] if numbers else 0)
    patience = REQUEUE_WITHIN_S if job.state in _REQUEUED and left > 0 else LAST_WORDS_S
    if time.time() - job.ended < patience or place.run.end.exists():
        return
    if left > 0 and _submitted_again(place):
        return
    state = records.read(place.run.attempt_state(numbers[-1])) if numbers else None
    outcome, cause = (state or {}).get("outcome"), (state or {}).get("cause")
    if outcome is None or (job.state in STATE_CAUSES and job.state != "CANCELLED"):
        outcome, cause = _judge(place, job, state)
        if state is not None and job.state == "COMPLETED" and job.exit_code == (0, 0):
            outcome, cause = State.COMPLETED, None  # an agent exits so only if its run completed
    finish(place.run, State(outcome), cause, attempt=numbers[-1] if numbers else None)


def _submitted_again(place: _Place) -> bool:
    """Tell whether its agent has had it submitted once more, which a remembered listing would not tell."""
    with suppress(OSError):  # the run may be being deleted
        list_uncached(str(place.folder))
    found = job_folder(place.run)
    return found is not None and job_id(*found) not in {None, place.id}


def _judge(place: _Place, job: Job, state: dict[str, Any] | None) -> tuple[State, dict[str, Any]]:
    """Return how a run ended whose agent left no word."""
    lines = list(tail_lines(str(place.log)))
    outcome = State.FAILED
    kind, message = STATE_CAUSES.get(job.state, ("agent_lost", ""))
    if place.run.cancel.exists():
        outcome, kind, message = State.CANCELED, "cancel", "canceled"
    elif job.state == "CANCELLED" and _was_canceled(job, lines):
        outcome = State.CANCELED
    elif state is not None:
        if job.state == "CANCELLED" or not message:
            ended = _said(job)
            kind = "agent_lost"
            message = f"the agent of job {job.id} on {job.nodes} ended without a word ({ended})"
    elif not message or job.state == "CANCELLED":
        kind, message = _why_not_begun(place, job, lines)
    phases = (state or {}).get("phases") or [[str(State.QUEUED), 0.0]]
    cause = {"kind": kind, "message": message, "phase": phases[-1][0], "last_lines": lines}
    return outcome, cause | {"node": job.nodes or None}


def _was_canceled(job: Job, lines: list[str]) -> bool:
    """Return whether somebody canceled a job. Slurm also says CANCELLED of one whose prolog has failed."""
    return job.nodes in NOWHERE or any(CANCELED in line for line in lines)


def _why_not_begun(place: _Place, job: Job, lines: list[str]) -> tuple[str, str]:
    """Return kind and message for a job whose agent did not begin."""
    code, signum = job.exit_code
    ended = _said(job)
    if job.state == GONE:
        lost = (
            f"Slurm knows nothing of job {job.id} any more: it was canceled before it began, or Slurm lost it"
        )
        return "agent_lost", lost
    if code == FAILED_SETUP:
        found = (line for line in reversed(lines) if line.startswith(SETUP))
        return "start", next(found, f"{SETUP}a line failed")
    if code == LOST_STORE or signum == NO_OUTPUT:
        return "agent_lost", f"{job.nodes} does not see the store {place.run.root.parents[2]} ({ended})"
    if code == LOST_PYTHON:
        return "agent_lost", f"{job.nodes} has no Python for the agent; set compute.python ({ended})"
    if job.state == "CANCELLED":
        word = lines[-1] if lines else "Slurm gives no reason; the logs of slurmctld and slurmd do"
        return "node_fail", f"Slurm could not start job {job.id} on {job.nodes}: {word}"
    return "agent_lost", f"job {job.id} on {job.nodes} ended before its agent began ({ended})"


def _said(job: Job) -> str:
    code, signum = job.exit_code
    return f"Slurm says {job.state}, exit code {code}" + (f", signal {signum}" if signum else "")
