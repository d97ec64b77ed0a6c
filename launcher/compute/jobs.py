"""What can be done to runs that were submitted, whatever their compute target."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from launcher.compute import CHOICES
from launcher.compute.batch import BatchTarget
from launcher.compute.scheduler import JobState
from launcher.store.runs import request_cancel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from launcher.compute.job_folders import JobRef
    from launcher.compute.scheduler import Scheduler
    from launcher.paths import RunFolder


CANCEL_ASKS, CANCEL_PAUSE_S = 4, 0.5
"""How often a scheduler is asked about jobs that were canceled and are ending, and the time between."""


class SubmittedJob(NamedTuple):
    """The newest job of a run."""

    id: str
    log: Path
    scheduler: str
    """As messages name it."""


def settle(runs: Iterable[RunFolder]) -> dict[RunFolder, str]:
    """End the runs whose jobs have ended; return what their schedulers say of those that wait."""
    reasons: dict[RunFolder, str] = {}
    for scheduler, jobs in _by_scheduler(run for run in runs if not run.end.exists()):
        from launcher.compute.reconcile import reconcile  # noqa: PLC0415  # local runs have no use for it

        reasons |= reconcile(scheduler, jobs)
    return reasons


def first_reason(reasons: Mapping[RunFolder, str]) -> str:
    """Return why the first of some runs waits and how many others do; empty if none waits."""
    text = next(iter(reasons.values()), "")
    return text + (f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else "")


def cancel(runs: Iterable[RunFolder]) -> str:
    """Ask for the end of runs; return what a scheduler complained of."""
    asked = list(runs)
    for run in asked:
        request_cancel(run)
    complaints = [_cancel_jobs(scheduler, jobs) for scheduler, jobs in _by_scheduler(asked)]
    return "; ".join(filter(None, complaints))


def job_of(run: RunFolder) -> SubmittedJob | None:
    """Return the newest job of a run; None if it has none."""
    for scheduler, jobs in _by_scheduler([run]):
        from launcher.compute.job_folders import read_job_id  # noqa: PLC0415  # see `settle`

        [(_, ref)] = jobs
        try:
            found = read_job_id(ref, scheduler)
        except OSError:  # deleted with its sweep
            return None
        return SubmittedJob(found, ref.log, scheduler.title) if found is not None else None
    return None


def _cancel_jobs(scheduler: Scheduler, jobs: Iterable[tuple[RunFolder, JobRef]]) -> str:
    from launcher.compute.job_folders import read_job_id  # noqa: PLC0415  # see `settle`
    from launcher.compute.scheduler_cache import list_jobs  # noqa: PLC0415

    known = list_jobs(scheduler).jobs.values()
    ids = [found for _, ref in jobs if (found := read_job_id(ref, scheduler, known)) is not None]
    if not ids:
        return ""
    complaint = scheduler.cancel(ids)
    for _ in range(CANCEL_ASKS):  # the next reader of the runs learns what has become of them
        listed = list_jobs(scheduler, anew=True).jobs
        if not any(listed[name].state is JobState.ENDING for name in ids if name in listed):
            break
        time.sleep(CANCEL_PAUSE_S)
    return complaint


def _by_scheduler(runs: Iterable[RunFolder]) -> list[tuple[Scheduler, list[tuple[RunFolder, JobRef]]]]:
    """Return the runs that have jobs, by scheduler, which `CHOICES` names for the kind of a job."""
    from launcher.compute.job_folders import job_ref  # noqa: PLC0415  # see `settle`

    kinds: dict[str, list[tuple[RunFolder, JobRef]]] = {}
    for run in runs:
        if (ref := job_ref(run)) is not None:
            kinds.setdefault(ref.kind, []).append((run, ref))
    return [
        (target().scheduler(), jobs)
        for kind, jobs in kinds.items()
        if (target := CHOICES.get(kind)) is not None and issubclass(target, BatchTarget)
    ]
