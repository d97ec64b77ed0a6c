"""What is done to submitted runs goes to the scheduler of each one's target, whichever that is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from launcher.compute import CHOICES, reconcile, scheduler_cache
from launcher.compute.job_folders import record_job_id
from launcher.compute.jobs import cancel, first_reason, job_of, settle
from launcher.errors import SubmitError
from launcher.facts import Cluster, Facts
from launcher.session import Session
from launcher.spec import State
from launcher.store import records
from launcher.store.runs import read_run
from tests.fake_scheduler import FakeScheduler, FakeTarget
from tests.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Scheduled

    from launcher.paths import RunFolder
    from launcher.store.run_state import Run

RESOURCES = {"nodes": 1, "processes_per_node": 1}
GATE = 'until [ -e "$PWD/go" ]; do sleep 0.05; done'


class Submitting:
    """Runs of a target with a fake scheduler, whose jobs end before an agent begins."""

    def __init__(self, scheduled: Scheduled, scheduler: FakeScheduler) -> None:
        self.scheduled = scheduled
        self.scheduler = scheduler
        self.target = FakeTarget()

    def record(self, number: int, **resources: int) -> RunFolder:
        run = self.scheduled.run(number, job=None, sweep="5eed", owner=records.owner())
        spec = {"id": f"mnist/{number}", "name": "mnist", "resources": {**RESOURCES, **resources}}
        run.spec.write_text(json.dumps({**spec, "retries": 0, "env": {}, "tags": {}}))
        return run

    def submit(self, *runs: RunFolder, most: int = 100) -> None:
        facts = Facts(cluster=Cluster(partitions={}, default_partition=None, max_array=most))
        self.target.submit([run.root for run in runs], self.scheduled.store.root, facts, Session())

    def over(self, run: RunFolder) -> Run:
        def ended() -> bool:
            settle([run])
            return run.end.exists()

        wait_for(ended, f"end of {run.root}")
        return read_run(run)


@pytest.fixture
def submitting(scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch) -> Iterator[Submitting]:
    scheduler = FakeScheduler(setup=["exit 5"])
    monkeypatch.setattr(FakeTarget, "instance", scheduler, raising=False)
    monkeypatch.setitem(CHOICES, "fake", FakeTarget)
    monkeypatch.setattr(reconcile, "SURE_AFTER_S", -1.0)
    yield Submitting(scheduled, scheduler)
    scheduler.cancel([member.id for member in scheduler.members])


def test_a_run_ends_by_the_word_of_its_own_scheduler(submitting: Submitting) -> None:
    run = submitting.record(1)
    submitting.submit(run)
    found = submitting.over(run)
    assert found.state is State.FAILED
    assert found.cause is not None
    assert found.cause.kind == "agent_lost"
    words = "job 1 on here ended before its agent began (Fake says failed, exit code 5)"
    assert found.cause.message == words
    assert job_of(run) == ("1", run.root / "job" / "fake.log", "Fake")
    assert submitting.scheduled.stand_ins.calls("squeue") == []


def test_runs_with_the_same_resources_share_an_array(submitting: Submitting) -> None:
    runs = [submitting.record(1), submitting.record(2), submitting.record(3, processes_per_node=2)]
    submitting.submit(*runs)
    assert [job_of(run) and job_of(run)[0] for run in runs] == ["1.1", "1.2", "2.1"]  # pyright: ignore[reportOptionalSubscript]  # `and`
    assert [submitting.over(run).state for run in runs] == [State.FAILED] * 3


def test_a_limit_holds_for_arrays_that_are_submitted_one_after_another(submitting: Submitting) -> None:
    submitting.scheduler.setup = [GATE, "exit 5"]
    submitting.target = FakeTarget(max_parallel=1)
    first, second = submitting.record(1), submitting.record(2)
    submitting.submit(first, second, most=1)
    assert settle([first, second]) == {second: "job 2.1 is pending: Turn"}
    assert first_reason(settle([first, second])) == "job 2.1 is pending: Turn"
    (submitting.scheduler.members[0].script.parent / "go").touch()
    submitting.over(first)
    (submitting.scheduler.members[1].script.parent / "go").touch()
    assert submitting.over(second).state is State.FAILED


def test_runs_of_several_schedulers_are_settled_and_canceled_together(submitting: Submitting) -> None:
    submitting.scheduler.setup = [GATE]
    fake = submitting.record(1)
    submitting.submit(fake)
    slurm, unknown = submitting.scheduled.run(2), submitting.scheduled.run(3)
    record_job_id(submitting.scheduled.folder(2), "7")
    unknown.submit.write_text(unknown.submit.read_text().replace('"slurm"', '"of a later version"'))
    submitting.scheduled.says(submitting.scheduled.line("7", "PENDING", reason="Priority"))
    assert settle([fake, slurm, unknown]) == {slurm: "job 7 is pending: Priority"}
    assert job_of(unknown) is None
    assert cancel([fake, slurm, unknown]) == ""
    assert submitting.scheduled.stand_ins.calls("scancel") == [["--quiet", "7"]]
    assert submitting.over(fake).state is State.CANCELED


def test_a_scheduler_that_does_not_answer_ends_nothing(submitting: Submitting) -> None:
    run = submitting.record(1)
    submitting.submit(run)
    submitting.scheduler.answers = False
    assert settle([run]) == {run: "Fake does not answer: no answer"}
    assert not run.end.exists()


def test_runs_that_are_refused_have_failed(submitting: Submitting) -> None:
    runs = [submitting.record(number) for number in range(60)]
    with pytest.raises(SubmitError, match="an array has at most 50 members"):
        submitting.submit(*runs)
    assert {read_run(run).state for run in runs} == {State.FAILED}


def test_a_scheduler_is_asked_about_forgotten_jobs_by_turns(
    submitting: Submitting, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = submitting.record(1)
    submitting.submit(run)
    wait_for(lambda: submitting.scheduler.members[0].over, "the job's end")
    monkeypatch.setattr(reconcile, "LAST_WORDS_S", float("inf"))
    settle([run])
    monkeypatch.setattr(reconcile, "LAST_WORDS_S", 0.0)
    monkeypatch.setattr(scheduler_cache, "QUERY_EVERY_S", 60.0)
    settle([run])
    assert not run.end.exists()
    monkeypatch.setattr(scheduler_cache, "QUERY_EVERY_S", 0.0)
    settle([run])
    assert run.end.exists()
