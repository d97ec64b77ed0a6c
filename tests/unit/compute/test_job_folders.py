"""Which job a run has, by what its folder records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.compute.job_folders import JobRef, read_job_id, record_job_id
from launcher.compute.scheduler import Job, JobState
from launcher.store import records

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Scheduled


def job_id(scheduled: Scheduled, index: int | None, jobs: tuple[Job, ...] = ()) -> str | None:
    return read_job_id(JobRef("slurm", scheduled.folder(), index), scheduled.scheduler, jobs)


def job(name: str, folder: Path) -> Job:
    return Job(name, JobState.RUNNING, "RUNNING", folder=str(folder))


def test_the_newest_submission_of_a_run_counts(scheduled: Scheduled) -> None:
    folder = scheduled.folder()
    folder.mkdir(parents=True)
    (folder / "id.odd.json").touch()
    (folder / "id.1.draft").touch()
    assert job_id(scheduled, None) is None
    record_job_id(folder, "7")
    record_job_id(folder, "8")  # only one is the first
    assert (job_id(scheduled, None), job_id(scheduled, 3)) == ("7", "7_3")
    for name, told in (
        ("id.9.json", "19"),
        ("id.10.json", "20"),
        ("id.3.2.json", "33"),
        ("id.31.0.json", "40"),
    ):
        records.write(folder / name, {"id": told})
    assert (job_id(scheduled, None), job_id(scheduled, 3), job_id(scheduled, 4)) == ("20", "33_3", "7_4")


def test_an_id_that_was_not_recorded_is_found_by_the_folder(scheduled: Scheduled, tmp_path: Path) -> None:
    folder = scheduled.folder()
    folder.mkdir(parents=True)
    jobs = (job("100_0", folder), job("99_1", folder), job("5", tmp_path))
    assert job_id(scheduled, 1, jobs) == "99_1"
    assert records.read(folder / "id.json") == {"schema": 1, "id": "99"}
