"""What Slurm's programs are asked about jobs, and what is made of their answers."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from launcher.compute import jobs
from launcher.compute.job_folders import JobRef, job_ref, record_job_id
from launcher.compute.jobs import cancel
from launcher.compute.scheduler import JobState, SchedulerError
from launcher.compute.slurm.queue import list_jobs, members, query

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Scheduled


def test_what_squeue_says(scheduled: Scheduled) -> None:
    scheduled.says(
        scheduled.line("7", "FAILED", status="1792", folder="/a|b", reason="NonZeroExitCode"),
        scheduled.line("8_3", "PENDING", end="N/A", nodes=""),
        "what is this\n",
    )
    failed, pending = list_jobs()
    assert (failed.id, failed.state, failed.word) == ("7", JobState.FAILED, "FAILED")
    assert (failed.exit_code, failed.signal) == (7, 0)
    assert (failed.folder, failed.reason) == ("/a|b", "NonZeroExitCode")
    assert failed.ended == time.mktime((2026, 1, 2, 3, 4, 5, 0, 0, -1))
    assert (pending.id, pending.state, pending.reason, pending.start) == ("8_3", JobState.PENDING, "", "")
    assert (pending.ended, pending.exit_code) == (0.0, 0)
    [call] = scheduled.stand_ins.calls("squeue")
    assert {"--array", "--states=all", "--noheader"} < set(call)


def test_a_squeue_that_does_not_answer(scheduled: Scheduled) -> None:
    scheduled.stand_ins.make("squeue", "exit 1")
    with pytest.raises(SchedulerError, match=r"^squeue does not answer$"):
        list_jobs()


def test_a_log_that_could_not_be_opened_is_a_state_of_its_own(scheduled: Scheduled) -> None:
    scheduled.says(scheduled.line("7", "FAILED", status="53"), scheduled.line("8", "A_STATE_OF_TOMORROW"))
    assert [job.state for job in list_jobs()] == [JobState.NO_OUTPUT, JobState.UNKNOWN]


def test_jobs_that_squeue_forgot_are_in_accounting(scheduled: Scheduled) -> None:
    says = "7|FAILED|3:0|n1|2026-01-02T03:04:05\n8_1|CANCELLED by 1000|0:15|n2|Unknown\n"
    says += "8_[2-4%2]|PENDING|0:0|None assigned|Unknown\n9|RUNNING|0:0|n3|Unknown\nodd line\n"
    scheduled.stand_ins.make("sacct", says=says)
    found, complete = query(["7", "8_1", "8_3", "10"])
    assert complete
    told = {name: found[name] for name in ("7", "8_1", "8_3")}
    assert {name: (job.word, job.exit_code, job.signal, job.nodes) for name, job in told.items()} == {
        "7": ("FAILED", 3, 0, "n1"),
        "8_1": ("CANCELLED", 0, 15, "n2"),
        "8_3": ("PENDING", 0, 0, ""),
    }
    assert "10" not in found
    [call] = scheduled.stand_ins.calls("sacct")
    assert "--jobs=10,7,8" in call


def test_without_accounting_the_controller_is_asked(scheduled: Scheduled) -> None:
    scheduled.stand_ins.make("sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    line = "JobId=7 JobName=x JobState=TIMEOUT Reason=TimeLimit ExitCode=0:15 NodeList=n1"
    line += " EndTime=2026-01-02T03:04:05"
    scheduled.stand_ins.make("scontrol", f'[ "$4" = 7 ] && echo "{line}" || exit 1')
    found, complete = query(["7", "8"])
    assert not complete  # one that is missing may exist
    assert list(found) == ["7"]
    assert (found["7"].word, found["7"].signal, found["7"].nodes) == ("TIMEOUT", 15, "n1")
    assert found["7"].ended > 0


@pytest.mark.parametrize(
    ("listed", "names"),
    [("7", ["7"]), ("7_3", ["7_3"]), ("7_[0-2,5%4]", ["7_0", "7_1", "7_2", "7_5"]),
     ("7_[0-4:2]", ["7_0", "7_2", "7_4"]), ("7_[1,...]", ["7_1"])],
)  # fmt: skip
def test_lists_of_members(listed: str, names: list[str]) -> None:
    assert members(listed) == names


def test_canceling_gives_all_to_scancel(scheduled: Scheduled) -> None:
    first, second = scheduled.run(1), scheduled.run(2)
    record_job_id(scheduled.folder(1), "7")
    third = scheduled.run(3, job=None)
    assert (job_ref(third), job_ref(first)) == (None, JobRef("slurm", scheduled.folder(1), None))
    assert cancel([first, second, third]) == ""
    assert scheduled.stand_ins.calls("scancel") == [["--quiet", "7"]]
    scheduled.stand_ins.make("scancel", "echo 'Access denied' >&2; exit 1")
    assert cancel([first]) == "Access denied"
    assert cancel([second]) == ""


def test_a_canceled_job_that_is_ending_is_waited_for(
    scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "CANCEL_PAUSE_S", 0.0)
    run = scheduled.run()
    record_job_id(scheduled.folder(), "7")
    scheduled.says(scheduled.line("7", "COMPLETING"))
    assert cancel([run]) == ""
    assert len(scheduled.stand_ins.calls("squeue")) == 1 + jobs.CANCEL_ASKS


def test_many_are_canceled_in_few_calls(scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("launcher.compute.scheduler_cache.LIST_EVERY_S", 60.0)
    scheduled.run(0, index=0)
    record_job_id(scheduled.folder(0), "7")
    runs = [scheduled.run(number, index=number) for number in range(501)]
    assert cancel(runs) == ""
    assert [len(call) - 1 for call in scheduled.stand_ins.calls("scancel")] == [500, 1]


def test_nothing_of_this_shells_job_is_told_to_the_tools(
    scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SLURM_CONF", "/etc/conf")
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    monkeypatch.setenv("SBATCH_PARTITION", "x")
    scheduled.stand_ins.make("squeue", f"env >{tmp_path}/env")
    list_jobs()
    env = (tmp_path / "env").read_text().splitlines()
    assert [line for line in sorted(env) if line.startswith(("SLURM_", "SBATCH_"))] == [
        "SLURM_BITSTR_LEN=0",
        "SLURM_CONF=/etc/conf",
    ]
    assert os.environ["SLURM_JOB_ID"] == "5"
