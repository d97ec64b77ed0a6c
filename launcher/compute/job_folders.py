"""The folders that jobs are submitted from: the script, the log, and the ids of the submissions."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.agent.base import atomic_json
from launcher.paths import StoreFolder
from launcher.store import records

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from launcher.compute.scheduler import Job, Scheduler
    from launcher.paths import RunFolder


@dataclass(frozen=True, slots=True)
class JobRef:
    """The job of a run, as the run's record names it."""

    kind: str
    """Of the target that it was submitted to."""
    folder: Path
    """The folder that it was submitted from, which no other job has."""
    index: int | None
    """In an array; None: no array."""

    @property
    def log(self) -> Path:
        """What the scheduler and the script printed for one run; the members of an array each have a log."""
        return self.folder / log_name(self.kind, self.index)


def log_name(kind: str, index: int | str | None) -> str:
    """Return the name of a job's log; an index may be the scheduler's own placeholder for it."""
    return f"{kind}.log" if index is None else f"{kind}-{index}.log"


def job_ref(run: RunFolder) -> JobRef | None:
    """Return the job of a run; None if it has none."""
    job = (records.read(run.submit) or {}).get("job")
    if not job:
        return None
    folder = StoreFolder(run.root.parents[2]).root / job["folder"]
    if not folder.is_dir():  # the run may be being deleted
        return None
    return JobRef(job["kind"], folder, job["index"])


def write_script(folder: Path, text: str) -> Path:
    """Write the script of a job, which stays for requeues that are refused; return its path."""
    path = folder / "job.sh"
    path.write_bytes(os.fsencode(text))
    path.chmod(0o700)
    return path


def record_job_id(folder: Path, job_id: str) -> None:
    """Record the id of a submission."""
    records.create(folder / "id.json", {"schema": atomic_json.SCHEMA, "id": job_id})


def sweep_job_ids(store: StoreFolder, sweep: str) -> list[str]:
    """Return the ids of all jobs that were submitted for a sweep; they may have ended."""
    found = [records.read(path) for path in (store.sweeps / sweep / "jobs").glob("*/id*.json")]
    return sorted({str(record["id"]) for record in found if record and record.get("id")}, key=_age)


def read_job_id(ref: JobRef, scheduler: Scheduler, jobs: Iterable[Job] = ()) -> str | None:
    """Return the id of the newest job of a submission; of one whose id was not recorded, by its folder."""
    folder = ref.folder
    middle = "" if ref.index is None else f"{ref.index}."
    again = [name for name in os.listdir(folder) if name.startswith(f"id.{middle}") and name != "id.json"]
    again = [name for name in again if name.removeprefix(f"id.{middle}").removesuffix(".json").isdigit()]
    newest = max(again, key=lambda name: int(name.split(".")[-2]), default="id.json")
    found = (records.read(folder / newest) or {}).get("id")
    if found is None:
        ids = {scheduler.array_id(job.id) for job in jobs if job.folder == str(folder)}
        if not ids:
            return None
        found = min(ids, key=_age)
        record_job_id(folder, found)
    return found if ref.index is None else scheduler.member_id(found, ref.index)


def _age(job_id: str) -> tuple[int, str]:
    """Return a key that sorts ids as they were given: schedulers count."""
    return len(job_id), job_id
