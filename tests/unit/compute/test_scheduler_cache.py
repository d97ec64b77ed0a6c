"""How often a scheduler is asked, by however many processes, and what they are told meanwhile."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from launcher.agent.base import process_identity
from launcher.compute import scheduler_cache
from launcher.compute.scheduler_cache import JobList, list_jobs, query
from launcher.compute.slurm.target import Slurm
from launcher.store import records

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Scheduled

SCHEDULER = Slurm().scheduler()


def keep_asking(problems: Any) -> None:
    """Ask from five threads, for two seconds from when this process has begun."""
    until = time.monotonic() + 2

    def ask() -> None:
        while time.monotonic() < until:
            answer = list_jobs(SCHEDULER)
            if answer.time and set(answer.jobs) != {"7"}:
                problems.put(repr(answer))
            time.sleep(0.02)

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_fifty_askers_are_one_to_squeue(scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler_cache, "LIST_EVERY_S", 0.75)  # of 2 s, as are the real 7.5 of 20
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


def test_while_it_is_fresh_nobody_asks_again(scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler_cache, "LIST_EVERY_S", 60.0)
    scheduled.says(scheduled.line("7", "RUNNING"))
    assert list_jobs(SCHEDULER) == list_jobs(SCHEDULER)
    assert len(scheduled.stand_ins.calls("squeue")) == 1


def test_a_scheduler_that_does_not_answer_keeps_what_it_said(scheduled: Scheduled) -> None:
    scheduled.says(scheduled.line("7", "RUNNING"))
    first = list_jobs(SCHEDULER)
    scheduled.stand_ins.make("squeue", "echo 'slurm_load_jobs error: Unable to contact' >&2; exit 1")
    second = list_jobs(SCHEDULER)
    assert second == JobList(first.time, first.jobs, "slurm_load_jobs error: Unable to contact")
    scheduled.stand_ins.make("squeue", "exit 1")
    assert list_jobs(SCHEDULER).problem == "squeue does not answer"
    scheduled.says()
    assert (list_jobs(SCHEDULER).problem, list_jobs(SCHEDULER).jobs) == ("", {})


def test_who_never_heard_anything_says_so(scheduled: Scheduled) -> None:
    scheduled.stand_ins.make("squeue", "exit 1")
    assert list_jobs(SCHEDULER) == JobList(0.0, {}, "squeue does not answer")


def lease_of(cache: Path) -> Path:
    """Return the lease of the process that asks squeue."""
    [kept] = (cache / "slurm").glob("jobs-*.json")
    return kept.with_suffix(".lease")


def test_one_who_asks_is_waited_for_but_not_when_he_is_gone(scheduled: Scheduled, cache: Path) -> None:
    list_jobs(SCHEDULER)
    lease = lease_of(cache)
    assert not lease.exists()
    asker = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    records.write(lease, {"owner": process_identity.identity(asker.pid), "time": time.time()})
    for _ in range(3):
        list_jobs(SCHEDULER)
    assert len(scheduled.stand_ins.calls("squeue")) == 1
    asker.communicate()
    list_jobs(SCHEDULER)  # finds the lease stale
    list_jobs(SCHEDULER)
    assert len(scheduled.stand_ins.calls("squeue")) == 2
    assert not lease.exists()


@pytest.mark.parametrize("held", [{"time": 1.0, "owner": {"boot": "elsewhere", "host": "x"}}, None])
def test_a_lease_that_is_old_or_cannot_be_read_is_none(
    scheduled: Scheduled, cache: Path, held: dict[str, Any] | None
) -> None:
    list_jobs(SCHEDULER)
    if held is None:
        lease_of(cache).write_text("{")
    else:
        records.write(lease_of(cache), held)
    list_jobs(SCHEDULER)
    list_jobs(SCHEDULER)
    assert len(scheduled.stand_ins.calls("squeue")) == 2


def test_accounting_is_not_asked_all_the_time(scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler_cache, "QUERY_EVERY_S", 60.0)
    scheduled.stand_ins.make("sacct", says="7|FAILED|3:0|n1|Unknown\n")
    answered = query(SCHEDULER, ["7"])
    assert answered is not None
    assert list(answered.jobs) == ["7"]
    assert query(SCHEDULER, ["7"]) is None
    assert len(scheduled.stand_ins.calls("sacct")) == 1
