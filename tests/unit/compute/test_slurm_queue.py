"""What squeue and its kin are asked, how often, and what is made of it."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from launcher.agent.base import process_identity
from launcher.compute import slurm_queue
from launcher.compute.slurm_queue import (
    Answer,
    Job,
    ask_about,
    cancel_jobs,
    job_folder,
    job_id,
    members,
    note_job,
    queue,
)
from launcher.store import records

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Scheduled


def keep_asking(problems: Any) -> None:
    """Ask from five threads, for two seconds from when this process has begun."""
    until = time.monotonic() + 2

    def ask() -> None:
        while time.monotonic() < until:
            answer = queue()
            if answer.time and set(answer.jobs) != {"7"}:
                problems.put(repr(answer))
            time.sleep(0.02)

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_fifty_askers_are_one_to_squeue(scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_queue, "EVERY_S", 0.75)  # of 2 s, as are the real 7.5 of 20
    scheduled.says(scheduled.line("7", "RUNNING"))
    context = multiprocessing.get_context("fork")
    problems = context.Queue()
    began = time.monotonic()
    askers = [context.Process(target=keep_asking, args=(problems,)) for _ in range(10)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert problems.empty()
    most = 1 + (time.monotonic() - began) / 0.75
    assert 1 <= len(scheduled.stand_ins.calls("squeue")) <= most
    problems.close()


def test_what_squeue_says(scheduled: Scheduled) -> None:
    scheduled.says(
        scheduled.line("7", "FAILED", status="1792", folder="/a|b", reason="NonZeroExitCode"),
        scheduled.line("8_3", "PENDING", end="N/A", nodes=""),
        "what is this\n",
    )
    answer = queue()
    assert set(answer.jobs) == {"7", "8_3"}
    assert (answer.problem, time.time() - answer.time < 60) == ("", True)
    failed = answer.jobs["7"]
    assert (failed.exit_code, failed.folder, failed.reason) == ((7, 0), "/a|b", "NonZeroExitCode")
    assert failed.ended == time.mktime((2026, 1, 2, 3, 4, 5, 0, 0, -1))
    assert (answer.jobs["8_3"].ended, answer.jobs["8_3"].exit_code) == (0.0, (0, 0))
    [call] = scheduled.stand_ins.calls("squeue")
    assert {"--array", "--states=all", "--noheader"} < set(call)


def test_while_it_is_fresh_nobody_asks_again(scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_queue, "EVERY_S", 60.0)
    scheduled.says(scheduled.line("7", "RUNNING"))
    assert queue() == queue()
    assert len(scheduled.stand_ins.calls("squeue")) == 1


def test_a_scheduler_that_does_not_answer_keeps_what_it_said(scheduled: Scheduled) -> None:
    scheduled.says(scheduled.line("7", "RUNNING"))
    first = queue()
    scheduled.stand_ins.make("squeue", "echo 'slurm_load_jobs error: Unable to contact' >&2; exit 1")
    second = queue()
    assert second == Answer(first.time, first.jobs, "slurm_load_jobs error: Unable to contact")
    scheduled.stand_ins.make("squeue", "exit 1")
    assert queue().problem == "squeue does not answer"
    scheduled.says()
    assert (queue().problem, queue().jobs) == ("", {})


def test_who_never_heard_anything_says_so(scheduled: Scheduled) -> None:
    scheduled.stand_ins.make("squeue", "exit 1")
    assert queue() == Answer(0.0, {}, "squeue does not answer")


def lease_of(cache: Path) -> Path:
    """Return where whoever asks squeue tells so."""
    [kept] = (cache / "slurm").glob("queue-*.json")
    return kept.with_suffix(".lease")


def test_one_who_asks_is_waited_for_but_not_when_he_is_gone(scheduled: Scheduled, cache: Path) -> None:
    queue()
    lease = lease_of(cache)
    assert not lease.exists()
    asker = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    records.write(lease, {"owner": process_identity.identity(asker.pid), "time": time.time()})
    for _ in range(3):
        queue()
    assert len(scheduled.stand_ins.calls("squeue")) == 1
    asker.communicate()
    queue()  # finds the lease stale
    queue()
    assert len(scheduled.stand_ins.calls("squeue")) == 2
    assert not lease.exists()


@pytest.mark.parametrize("held", [{"time": 1.0, "owner": {"boot": "elsewhere", "host": "x"}}, None])
def test_a_lease_that_is_old_or_cannot_be_read_is_none(
    scheduled: Scheduled, cache: Path, held: dict[str, Any] | None
) -> None:
    queue()
    if held is None:
        lease_of(cache).write_text("{")
    else:
        records.write(lease_of(cache), held)
    queue()
    queue()
    assert len(scheduled.stand_ins.calls("squeue")) == 2


def test_jobs_that_squeue_forgot_are_in_accounting(scheduled: Scheduled) -> None:
    says = "7|FAILED|3:0|n1|2026-01-02T03:04:05\n8_1|CANCELLED by 1000|0:15|n2|Unknown\n"
    says += "8_[2-4%2]|PENDING|0:0|None assigned|Unknown\n9|RUNNING|0:0|n3|Unknown\nodd line\n"
    scheduled.stand_ins.make("sacct", says=says)
    answered = ask_about(["7", "8_1", "8_3", "10"])
    assert answered is not None
    found, whole = answered
    assert whole
    told = {name: found[name] for name in ("7", "8_1", "8_3")}
    assert {name: (job.state, job.exit_code, job.nodes) for name, job in told.items()} == {
        "7": ("FAILED", (3, 0), "n1"),
        "8_1": ("CANCELLED", (0, 15), "n2"),
        "8_3": ("PENDING", (0, 0), "None assigned"),
    }
    assert "10" not in found
    [call] = scheduled.stand_ins.calls("sacct")
    assert "--jobs=10,7,8" in call


def test_without_accounting_the_controller_is_asked(scheduled: Scheduled) -> None:
    scheduled.stand_ins.make("sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    line = "JobId=7 JobName=x JobState=TIMEOUT Reason=TimeLimit ExitCode=0:15 NodeList=n1"
    line += " EndTime=2026-01-02T03:04:05"
    scheduled.stand_ins.make("scontrol", f'[ "$4" = 7 ] && echo "{line}" || exit 1')
    answered = ask_about(["7", "8"])
    assert answered is not None
    found, whole = answered
    assert not whole  # one that is missing may be there
    assert list(found) == ["7"]
    assert (found["7"].state, found["7"].exit_code, found["7"].nodes) == ("TIMEOUT", (0, 15), "n1")
    assert found["7"].ended > 0


def test_accounting_is_not_asked_all_the_time(scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_queue, "ASK_EVERY_S", 60.0)
    scheduled.stand_ins.make("sacct", says="7|FAILED|3:0|n1|Unknown\n")
    answered = ask_about(["7"])
    assert answered is not None
    assert list(answered.jobs) == ["7"]
    assert ask_about(["7"]) is None
    assert len(scheduled.stand_ins.calls("sacct")) == 1


@pytest.mark.parametrize(
    ("listed", "names"),
    [("7", ["7"]), ("7_3", ["7_3"]), ("7_[0-2,5%4]", ["7_0", "7_1", "7_2", "7_5"]),
     ("7_[0-4:2]", ["7_0", "7_2", "7_4"]), ("7_[1,...]", ["7_1"])],
)  # fmt: skip
def test_lists_of_members(listed: str, names: list[str]) -> None:
    assert members(listed) == names


def job(name: str, folder: Path) -> Job:
    return Job(name, "RUNNING", "", "", "", "", "", str(folder))


def test_the_newest_submission_of_a_run_counts(scheduled: Scheduled) -> None:
    folder = scheduled.folder()
    folder.mkdir(parents=True)
    (folder / "id.odd.json").touch()
    (folder / "id.1.draft").touch()
    assert job_id(folder, None) is None
    note_job(folder, "7")
    note_job(folder, "8")  # only one is the first
    assert (job_id(folder, None), job_id(folder, 3)) == ("7", "7_3")
    for name, told in (
        ("id.9.json", "19"),
        ("id.10.json", "20"),
        ("id.3.2.json", "33"),
        ("id.31.0.json", "40"),
    ):
        records.write(folder / name, {"id": told})
    assert (job_id(folder, None), job_id(folder, 3), job_id(folder, 4)) == ("20", "33_3", "7_4")


def test_an_id_that_was_not_recorded_is_found_by_the_folder(scheduled: Scheduled, tmp_path: Path) -> None:
    folder = scheduled.folder()
    folder.mkdir(parents=True)
    jobs = [job("100_0", folder), job("99_1", folder), job("5", tmp_path)]
    assert job_id(folder, 1, jobs) == "99_1"
    assert records.read(folder / "id.json") == {"schema": 1, "id": "99"}


def test_canceling_gives_all_to_scancel(scheduled: Scheduled) -> None:
    first, second = scheduled.run(1), scheduled.run(2)
    note_job(scheduled.folder(1), "7")
    third = scheduled.run(3, job=None)
    assert (job_folder(third), job_folder(first)) == (None, (scheduled.folder(1), None))
    assert cancel_jobs([first, second, third]) == ""
    assert scheduled.stand_ins.calls("scancel") == [["--quiet", "7"]]
    scheduled.stand_ins.make("scancel", "echo 'Access denied' >&2; exit 1")
    assert cancel_jobs([first]) == "Access denied"
    assert cancel_jobs([second]) == ""


def test_many_are_canceled_in_few_calls(scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_queue, "EVERY_S", 60.0)
    scheduled.run(0, index=0)
    note_job(scheduled.folder(0), "7")
    runs = [scheduled.run(number, index=number) for number in range(501)]
    assert cancel_jobs(runs) == ""
    assert [len(call) - 1 for call in scheduled.stand_ins.calls("scancel")] == [500, 1]


def test_nothing_of_this_shells_job_is_told_to_the_tools(
    scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SLURM_CONF", "/etc/conf")
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    monkeypatch.setenv("SBATCH_PARTITION", "x")
    scheduled.stand_ins.make("squeue", f"env >{tmp_path}/env")
    queue()
    env = (tmp_path / "env").read_text().splitlines()
    assert [line for line in sorted(env) if line.startswith(("SLURM_", "SBATCH_"))] == [
        "SLURM_BITSTR_LEN=0",
        "SLURM_CONF=/etc/conf",
    ]
    assert os.environ["SLURM_JOB_ID"] == "5"
