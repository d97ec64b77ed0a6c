"""Sweeps on this machine, through the command line."""

from __future__ import annotations

import signal
from itertools import pairwise
from typing import TYPE_CHECKING

from launcher.spec import State
from launcher.store.runs import delete, read_run, request_cancel

if TYPE_CHECKING:
    from tests.integration.conftest import Lab


def test_members_run_side_by_side_and_are_told_in_a_table(lab: Lab) -> None:
    lab.script(
        "import os, time\nopen('outputs/up', 'w').close()\n"
        "others = [f'../../../{n}/outputs/up' for n in (1, 2, 3)]\n"
        "while not all(map(os.path.exists, others)): time.sleep(0.02)\n"  # all three at once, or never
    )
    done = lab.launch("-m", "+args.x=1,2,3", "compute.max_parallel=3")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stderr.splitlines() if line[:1].isdigit()]
    assert [(*row[:3], row[-1]) for row in rows] == [
        (str(n - 1), f"mnist/{n}", "Completed", f"+args.x={n}") for n in (1, 2, 3)
    ]
    sweeps = {read_run(lab.run(n)).submit["sweep"] for n in (1, 2, 3)}
    assert len(sweeps) == 1


def test_one_that_fails_does_not_hide_the_others(lab: Lab) -> None:
    lab.script("import sys; sys.exit(int(sys.argv[-1]) % 2)")
    done = lab.launch("-m", "+args.x=1,2,3,4", "compute.max_parallel=2")
    assert done.returncode == 1
    states = [read_run(lab.run(n)).state for n in (1, 2, 3, 4)]
    assert states == [State.FAILED, State.COMPLETED, State.FAILED, State.COMPLETED]
    assert done.stderr.count("exited with 1") == 2


def test_one_at_a_time_in_order(lab: Lab) -> None:
    lab.script("import time; time.sleep(0.1)")
    assert lab.launch("-m", "+args.x=1,2,3", "compute.max_parallel=1").returncode == 0
    spans = [(run.started or 0, run.ended or 0) for run in (read_run(lab.run(n)) for n in (1, 2, 3))]
    assert spans == sorted(spans)
    assert all(before[1] <= after[0] + 0.01 for before, after in pairwise(spans))


def test_one_at_a_time_if_one_of_them_says_so(lab: Lab) -> None:
    lab.script("import time; time.sleep(0.3)")
    done = lab.launch("-m", "+args.x=1,2", "compute.max_parallel=2,1,null")
    assert done.returncode == 0, done.stderr
    spans = sorted((run.started or 0, run.ended or 0) for run in (read_run(lab.run(n)) for n in range(1, 7)))
    assert all(before[1] <= after[0] + 0.01 for before, after in pairwise(spans))


def test_members_may_differ_in_everything(lab: Lab) -> None:
    lab.script("import os; print(os.environ.get('WORLD_SIZE'))")
    done = lab.launch("-m", "distribution=torch", "nodes=1,2")
    assert done.returncode == 0, done.stderr
    assert [len(read_run(lab.run(n)).processes) for n in (1, 2)] == [1, 2]


def test_canceling_some_of_them(lab: Lab) -> None:
    lab.script("import time; print('up', flush=True); time.sleep(300)")
    launch = lab.start("-m", "+args.x=1,2,3", "compute.max_parallel=1")
    lab.running(lab.run(1), "up")
    for number in (3, 2, 1):
        request_cancel(lab.run(number))
    launch.communicate(timeout=120)
    assert launch.returncode == 1
    assert {read_run(lab.run(n)).state for n in (1, 2, 3)} == {State.CANCELED}


def test_a_member_that_is_deleted_does_not_end_the_others(lab: Lab) -> None:
    lab.script(
        "import os, sys, time\nprint('up', flush=True)\n"
        "while not os.path.exists('../../../2/deleted'): time.sleep(0.05)\n"
    )
    launch = lab.start("-m", "+args.x=1,2", "compute.max_parallel=2")
    for number in (1, 2):
        lab.running(lab.run(number), "up")
    delete(lab.run(2), force=True)
    (lab.run(2).root / "deleted").touch()
    _, err = launch.communicate(timeout=120)
    assert launch.returncode == 1
    assert "Traceback" not in err
    assert read_run(lab.run(1)).state is State.COMPLETED
    lab.until(lambda: not lab.processes(lab.run(2)), "end of the deleted run's processes")


def test_an_interrupt_leaves_all_of_them_running(lab: Lab) -> None:
    lab.script("import time; print('up', flush=True); time.sleep(300)")
    launch = lab.start("-m", "+args.x=1,2", "compute.max_parallel=2")
    for number in (1, 2):
        lab.running(lab.run(number), "up")
    launch.send_signal(signal.SIGINT)
    launch.communicate(timeout=60)
    assert launch.returncode == 130
    assert not any(read_run(lab.run(n)).state.terminal for n in (1, 2))
