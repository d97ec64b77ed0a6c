"""What can be done to runs that were submitted, whatever their compute target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.store import records
from launcher.store.runs import request_cancel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from launcher.paths import RunFolder


def settle(runs: Iterable[RunFolder]) -> dict[RunFolder, str]:
    """End the runs that a scheduler knows to be over; return what it says of those that wait for it."""
    asked = list(runs)
    if not any(map(_scheduled, asked)):
        return {}
    from launcher.compute import slurm_settle  # noqa: PLC0415  # local runs have no use for it

    return slurm_settle.settle(asked)  # leaves those alone that have no job


def first_reason(said: Mapping[RunFolder, str]) -> str:
    """Return why the first of some runs waits and how many others do; empty where none does."""
    text = next(iter(said.values()), "")
    return text + (f" (and {len(said) - 1} more)" if len(said) > 1 else "")


def cancel(runs: Iterable[RunFolder]) -> str:
    """Ask for the end of runs; return what a scheduler complained of."""
    asked = list(runs)
    for run in asked:
        request_cancel(run)
    if not any(map(_scheduled, asked)):
        return ""
    from launcher.compute import slurm_queue  # noqa: PLC0415  # local runs have no use for it

    return slurm_queue.cancel_jobs(asked)


def job_of(run: RunFolder) -> tuple[str, Path] | None:
    """Return the id of a run's job, the newest where it was submitted again, and its log."""
    if not _scheduled(run):
        return None
    from launcher.compute import slurm_queue  # noqa: PLC0415  # local runs have no use for it

    place = slurm_queue.job_folder(run)
    try:
        found = slurm_queue.job_id(*place) if place is not None else None
    except OSError:  # deleted with its sweep
        return None
    return None if place is None or found is None else (found, slurm_queue.job_log(*place))


def _scheduled(run: RunFolder) -> bool:
    return bool((records.read(run.submit) or {}).get("job"))
