"""The end of runs by the scheduler's word, and what it says of those that wait."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from launcher.compute import reconcile, scheduler_cache
from launcher.compute.job_folders import read_job_id, record_job_id
from launcher.compute.jobs import cancel, settle
from launcher.compute.slurm.queue import STATES
from launcher.spec import State
from launcher.store import records
from launcher.store.runs import Cause, read_run, request_cancel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conftest import Scheduled

    from launcher.compute.job_folders import JobRef
    from launcher.compute.scheduler import Job, Scheduler
    from launcher.paths import RunFolder


def cause_of(run: RunFolder) -> Cause:
    cause = read_run(run).cause
    assert cause is not None
    return cause


@pytest.fixture
def run(scheduled: Scheduled) -> RunFolder:
    """Return a run whose job is 7."""
    made = scheduled.run()
    record_job_id(scheduled.folder(), "7")
    (scheduled.folder() / "slurm.log").write_text("the script's\nlast words\n")
    return made


def test_a_run_that_is_canceled_while_it_waits_ends_at_once(scheduled: Scheduled, run: RunFolder) -> None:
    """Neither its last words nor a second question are waited for; the log of others is not quoted."""
    request_cancel(run)
    scheduled.says(scheduled.line("7", "CANCELLED", nodes="None assigned", end="2099-01-01T00:00:00"))
    settle([run])
    assert read_run(run).state is State.CANCELED
    assert cause_of(run) == Cause(kind="cancel", message="canceled while queued", phase="Queued")


def test_a_canceled_run_that_squeue_does_not_list_any_more_never_began(
    scheduled: Scheduled, run: RunFolder
) -> None:
    request_cancel(run)
    scheduled.says()
    settle([run])
    assert cause_of(run).message == "canceled while queued"


@pytest.mark.parametrize(
    ("state", "ends", "kind"),
    [
        ("BOOT_FAIL", State.FAILED, "node_fail"),
        ("DEADLINE", State.FAILED, "time_limit"),
        ("FAILED", State.FAILED, "agent_lost"),
        ("NODE_FAIL", State.FAILED, "node_fail"),
        ("OUT_OF_MEMORY", State.FAILED, "out_of_memory"),
        ("PREEMPTED", State.FAILED, "preempted"),
        ("TIMEOUT", State.FAILED, "time_limit"),
    ],
)
@pytest.mark.parametrize("started", [False, True])
def test_a_job_that_is_over_ends_its_run(  # noqa: PLR0913, PLR0917  # a table
    scheduled: Scheduled, run: RunFolder, state: str, ends: State, kind: str, started: bool
) -> None:
    if started:
        scheduled.attempt(run, 0, "Starting", "Running")
    scheduled.says(scheduled.line("7", state))
    assert settle([run]) == {}
    found, cause = read_run(run), cause_of(run)
    assert (found.state, cause.kind, cause.node) == (ends, kind, "n1")
    assert cause.phase == ("Running" if started else "Queued")
    assert cause.last_lines == ("the script's", "last words")
    assert found.attempts == ((0,) if started else ())
    assert cause.message


def test_a_job_whose_agent_ended_well_completed_its_run(scheduled: Scheduled, run: RunFolder) -> None:
    """Its last word is missing, as in a store whose disk is full."""
    scheduled.attempt(run, 0, "Starting", "Running")
    scheduled.says(scheduled.line("7", "COMPLETED"))
    assert settle([run]) == {}
    assert (read_run(run).state, read_run(run).cause) == (State.COMPLETED, None)


def test_a_job_that_completed_without_an_agent_failed(scheduled: Scheduled, run: RunFolder) -> None:
    scheduled.says(scheduled.line("7", "COMPLETED"))
    assert settle([run]) == {}
    assert (read_run(run).state, cause_of(run).kind) == (State.FAILED, "agent_lost")


def test_every_state_that_ends_is_tested() -> None:
    assert sum(state.final for state in STATES.values()) == 9  # and CANCELLED, below


CANCELED_LINE = "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-01-02T03:04:05 ***"
PROLOG_LINE = "Error running slurm prolog: 1"
UNSTARTED = "Slurm could not start job 7 on n1: "


@pytest.mark.parametrize(
    ("nodes", "log", "started", "ends", "kind", "message"),
    [
        ("", "", False, State.CANCELED, "cancel", "canceled by scancel"),
        ("None assigned", "", False, State.CANCELED, "cancel", "canceled by scancel"),
        ("n1", CANCELED_LINE, False, State.CANCELED, "cancel", "canceled by scancel"),
        ("n1", CANCELED_LINE, True, State.CANCELED, "cancel", "canceled by scancel"),
        ("n1", PROLOG_LINE, False, State.FAILED, "node_fail", f"{UNSTARTED}{PROLOG_LINE}"),
        ("n1", "", False, State.FAILED, "node_fail", f"{UNSTARTED}Slurm gives no reason"),
        ("n1", "", True, State.FAILED, "agent_lost", "the agent of job 7 on n1 ended without a word"),
    ],
)  # fmt: skip
def test_canceled_needs_evidence_of_a_cancel(  # noqa: PLR0913, PLR0917  # a table
    scheduled: Scheduled,
    run: RunFolder,
    nodes: str,
    log: str,
    started: bool,
    ends: State,
    kind: str,
    message: str,
) -> None:
    (scheduled.folder() / "slurm.log").write_text(log)
    if started:
        scheduled.attempt(run, 0, "Starting", "Running")
    scheduled.says(scheduled.line("7", "CANCELLED", nodes=nodes))
    settle([run])
    assert (read_run(run).state, cause_of(run).kind) == (ends, kind)
    assert cause_of(run).message.startswith(message)


def test_members_that_slurm_has_forgotten_are_not_said_to_be_canceled(scheduled: Scheduled) -> None:
    runs = [scheduled.run(number, index=number - 1) for number in (1, 2)]
    record_job_id(scheduled.folder(0), "9")
    scheduled.forgotten_since(0)
    scheduled.says(scheduled.line("9_7", "RUNNING", folder=str(scheduled.folder(0))))
    scheduled.stand_ins.make("sacct", says="")
    settle(runs)
    for index, run in enumerate(runs):
        assert read_run(run).state is State.FAILED
        assert cause_of(run).message.startswith(f"Slurm knows nothing of job 9_{index} any more: it was")


def test_the_cause_of_a_member_quotes_its_own_log(scheduled: Scheduled) -> None:
    runs = [scheduled.run(number, index=number - 1) for number in (1, 2)]
    record_job_id(scheduled.folder(0), "9")
    for index in (0, 1):
        (scheduled.folder(0) / f"slurm-{index}.log").write_text(f"words of {index}\n")
    scheduled.says(scheduled.line("9_0", "FAILED"), scheduled.line("9_1", "FAILED"))
    settle(runs)
    assert [cause_of(run).last_lines for run in runs] == [("words of 0",), ("words of 1",)]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (71 << 8, "n1 does not see the store"),
        (53, "n1 does not see the store"),
        (72 << 8, "has no Python for the agent; set compute.python"),
        (1 << 8, "job 7 on n1 ended before its agent began (Slurm says FAILED, exit code 1)"),
        (9, "(Slurm says FAILED, exit code 0, signal 9)"),
    ],
)
def test_why_an_agent_never_began(scheduled: Scheduled, run: RunFolder, status: int, words: str) -> None:
    scheduled.says(scheduled.line("7", "FAILED", status=str(status)))
    settle([run])
    assert words in cause_of(run).message


def test_an_agent_that_ended_without_a_word(scheduled: Scheduled, run: RunFolder) -> None:
    scheduled.attempt(run, 0, "Starting")
    scheduled.says(scheduled.line("7", "FAILED", status="9"))
    settle([run])
    said = "the agent of job 7 on n1 ended without a word (Slurm says FAILED, exit code 0, signal 9)"
    assert cause_of(run).message == said


def test_an_attempt_that_was_over_keeps_its_outcome(scheduled: Scheduled, run: RunFolder) -> None:
    scheduled.attempt(run, 0, "Starting", "Running", "Finalizing", outcome="Completed")
    scheduled.says(scheduled.line("7", "COMPLETED"))
    settle([run])
    assert read_run(run).state is State.COMPLETED


def test_slurms_reason_counts_more_than_how_processes_ended(scheduled: Scheduled, run: RunFolder) -> None:
    cause: dict[str, Any] = {"kind": "signal", "message": "rank 0 was killed", "phase": "Running"}
    scheduled.attempt(run, 0, "Running", outcome="Failed", cause=cause)
    scheduled.says(scheduled.line("7", "OUT_OF_MEMORY"))
    settle([run])
    assert cause_of(run).kind == "out_of_memory"


def test_a_run_that_was_to_be_canceled_is(scheduled: Scheduled, run: RunFolder) -> None:
    request_cancel(run)
    scheduled.says(scheduled.line("7", "FAILED"))
    settle([run])
    assert (read_run(run).state, cause_of(run).message) == (State.CANCELED, "canceled")


@pytest.mark.parametrize(
    "state", ["RUNNING", "COMPLETING", "STAGE_OUT", "RESIZING", "SIGNALING", "A_STATE_OF_TOMORROW", "REVOKED"]
)
def test_other_states_end_nothing(scheduled: Scheduled, run: RunFolder, state: str) -> None:
    scheduled.says(scheduled.line("7", state))
    assert settle([run]) == {}
    assert not run.end.exists()
    assert read_run(run).state is State.QUEUED


@pytest.mark.parametrize(
    ("state", "fields", "said"),
    [
        ("PENDING", {"reason": "Resources"}, "job 7 is pending: Resources"),
        ("PENDING", {}, "job 7 is pending"),
        ("PENDING", {"reason": "Priority", "start": "2026-01-02T03:04:05"},
         "job 7 is pending: Priority, expected start 2026-01-02 03:04:05"),
        ("CONFIGURING", {}, "job 7: nodes are powering up"),
        ("SUSPENDED", {}, "job 7 is SUSPENDED"),
        ("REQUEUE_HOLD", {}, "job 7 is REQUEUE_HOLD"),
    ],
)  # fmt: skip
def test_what_is_said_of_those_that_wait(
    scheduled: Scheduled, run: RunFolder, state: str, fields: dict[str, str], said: str
) -> None:
    scheduled.says(scheduled.line("7", state, **fields))
    assert settle([run]) == {run: said}
    assert not run.end.exists()


def test_an_attempt_whose_job_went_back_into_the_queue_waits(scheduled: Scheduled, run: RunFolder) -> None:
    scheduled.attempt(run, 0, "Starting", "Running")
    assert read_run(run).state is State.RUNNING
    scheduled.says(scheduled.line("7", "PENDING", reason="BeginTime"))
    settle([run])
    word = records.read(run.attempt_lost(0)) or {}
    assert word["message"] == "job 7 was requeued: BeginTime"
    found = read_run(run)
    assert found.state is State.QUEUED
    assert [phase.state for phase in found.phases][-3:] == [State.STARTING, State.RUNNING, State.QUEUED]
    settle([run])
    assert records.read(run.attempt_lost(0)) == word
    scheduled.attempt(run, 1, "Starting")
    assert read_run(run).state is State.STARTING


def test_an_attempt_that_began_since_squeue_was_asked_is_not_lost(
    scheduled: Scheduled, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduled.says(scheduled.line("7", "PENDING"))
    assert settle([run])
    monkeypatch.setattr(scheduler_cache, "LIST_EVERY_S", 60.0)
    scheduled.attempt(run, 0, "Starting", "Running")
    assert settle([run])  # by the answer from before
    assert not run.attempt_lost(0).exists()
    assert read_run(run).state is State.RUNNING


def test_an_agent_that_queued_its_run_itself_left_nothing_to_say(
    scheduled: Scheduled, run: RunFolder
) -> None:
    scheduled.attempt(run, 0, "Starting", "Running", "Finalizing", "Queued", outcome="Failed")
    scheduled.says(scheduled.line("7", "PENDING"))
    settle([run])
    assert not run.attempt_lost(0).exists()
    assert read_run(run).state is State.QUEUED


def test_an_agents_last_word_has_time_to_arrive(
    scheduled: Scheduled, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "LAST_WORDS_S", 60.0)
    now = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() - 5))
    scheduled.says(scheduled.line("7", "COMPLETED", end=now))
    settle([run])
    assert not run.end.exists()


@pytest.mark.parametrize(("retries", "over"), [(1, False), (0, True)])
def test_slurm_has_time_to_requeue_what_may_be_tried_again(
    scheduled: Scheduled, *, retries: int, over: bool
) -> None:
    run = scheduled.run(retries=retries)
    record_job_id(scheduled.folder(), "7")
    now = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() - 5))
    scheduled.says(scheduled.line("7", "NODE_FAIL", end=now))
    settle([run])
    assert run.end.exists() == over
    scheduled.says(scheduled.line("7", "NODE_FAIL"))
    settle([run])
    assert run.end.exists()


def test_a_listing_from_before_its_job_was_submitted_again_does_not_end_it(
    scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on NFS, which remembers what a folder held."""
    run = scheduled.run(retries=1)
    record_job_id(scheduled.folder(), "7")
    scheduled.attempt(run, 0, "Starting", "Running", "Queued")
    scheduled.says(scheduled.line("7", "COMPLETED"), scheduled.line("8", "PENDING"))

    def remembered(ref: JobRef, scheduler: Scheduler, jobs: Iterable[Job] = ()) -> str | None:
        found = read_job_id(ref, scheduler, jobs)
        records.create(ref.folder / "id.0.json", {"schema": 1, "id": "8"})
        return found

    monkeypatch.setattr(reconcile, "read_job_id", remembered)
    settle([run])
    assert not run.end.exists()


def test_a_run_that_has_ended_is_left_alone(scheduled: Scheduled, run: RunFolder) -> None:
    word = {"state": "Completed", "time": 9.0}
    records.write(run.end, word)
    scheduled.says(scheduled.line("7", "FAILED"))
    assert settle([run]) == {}
    assert records.read(run.end) == word


def test_a_job_whose_folder_is_gone_is_left_alone(scheduled: Scheduled) -> None:
    run = scheduled.run()
    scheduled.folder().rmdir()
    assert (settle([run]), cancel([run])) == ({}, "")
    assert not run.end.exists()


def test_runs_without_a_job_need_no_scheduler(scheduled: Scheduled) -> None:
    run = scheduled.run(job=None, owner=records.owner())
    assert (settle([run]), cancel([run])) == ({}, "")
    assert scheduled.stand_ins.calls("squeue") == []


def test_members_of_an_array_end_each_by_its_own_job(scheduled: Scheduled) -> None:
    runs = [scheduled.run(number, index=number) for number in range(3)]
    record_job_id(scheduled.folder(0), "7")
    scheduled.says(
        scheduled.line("7_0", "FAILED"), scheduled.line("7_1", "PENDING"), scheduled.line("7_2", "RUNNING")
    )
    assert list(settle(runs)) == [runs[1]]
    assert [run.end.exists() for run in runs] == [True, False, False]


def test_a_job_that_squeue_forgot_is_looked_up(scheduled: Scheduled, run: RunFolder) -> None:
    scheduled.says(scheduled.line("6", "RUNNING", folder="/elsewhere"))
    scheduled.forgotten_since()
    scheduled.stand_ins.make("sacct", says="7|TIMEOUT|0:15|n1|2026-01-02T03:04:05\n")
    settle([run])
    assert cause_of(run).kind == "time_limit"


def test_a_job_that_nobody_knows_ends_nothing(scheduled: Scheduled, run: RunFolder) -> None:
    scheduled.forgotten_since()
    settle([run])
    scheduled.stand_ins.make("sacct", "exit 1")
    settle([run])
    assert not run.end.exists()


def test_a_fresh_job_is_not_looked_up(
    scheduled: Scheduled, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "SURE_AFTER_S", 10.0)
    settle([run])
    assert scheduled.stand_ins.calls("sacct") == []


def test_a_scheduler_that_does_not_answer_ends_nothing_and_says_so(
    scheduled: Scheduled, run: RunFolder
) -> None:
    lone = scheduled.run(2)
    scheduled.folder(2).mkdir(exist_ok=True)
    scheduled.stand_ins.make("squeue", "echo 'Unable to contact slurm controller' >&2; exit 1")
    said = settle([run, lone])
    assert set(said.values()) == {"Slurm does not answer: Unable to contact slurm controller"}
    assert not run.end.exists()
    assert not lone.end.exists()
    assert scheduled.stand_ins.calls("sacct") == []


def test_a_launcher_that_died_before_sbatch(scheduled: Scheduled) -> None:
    run = scheduled.run()
    settle([run])
    assert (cause_of(run).kind, cause_of(run).phase) == ("launcher_lost", "Queued")
    assert "it was not submitted" in cause_of(run).message


def test_a_launcher_that_died_after_sbatch_is_found_out_by_its_jobs_folder(scheduled: Scheduled) -> None:
    run = scheduled.run()
    scheduled.says(scheduled.line("7", "PENDING"))
    assert settle([run]) == {run: "job 7 is pending"}
    assert not run.end.exists()
    assert records.read(scheduled.folder() / "id.json") == {"schema": 1, "id": "7"}


def test_a_launcher_that_is_still_about_to_submit(scheduled: Scheduled) -> None:
    run = scheduled.run(owner=records.owner())
    assert settle([run]) == {}
    assert not run.end.exists()


def test_canceling_asks_the_run_and_the_scheduler(scheduled: Scheduled, run: RunFolder) -> None:
    assert cancel([run]) == ""
    assert scheduled.stand_ins.calls("scancel") == [["--quiet", "7"]]
    assert read_run(run).state is State.CANCEL_REQUESTED
