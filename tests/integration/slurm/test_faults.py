"""What breaks on a cluster: the run goes on or ends, its record says why, and nothing is left."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from launcher.paths import RunFolder
from launcher.spec import State
from launcher.store.runs import read_run
from tests.integration.conftest import until
from tests.integration.slurm.lab import SlurmLab

SLEEPS = "import time; print('up', flush=True); time.sleep(300)"
TWO_NODES = ("distribution=torch", "nodes=2")

CHECKPOINTS = """\
import os, signal, sys, time
from pathlib import Path
saved = Path("outputs/step")
def save(number, frame):
    print("told", number, flush=True)
    saved.write_text("7")
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
step = saved.read_text() if saved.exists() else 0
print("attempt", os.environ["LAUNCHER_ATTEMPT"], "from", step, flush=True)
time.sleep(0 if saved.exists() else 300)
"""


def logs(folder: RunFolder, attempt: int) -> str:
    return (folder.attempt_logs(attempt) / "worker-0.log").read_text()


def resumed(lab: SlurmLab, folder: RunFolder) -> None:
    """Assert that a second attempt went on from the checkpoint of the first, with logs of its own."""
    run = lab.over(folder)
    assert (run.state, run.attempts) == (State.COMPLETED, (0, 1)), run
    assert "told 15" in logs(folder, 0)
    assert logs(folder, 1) == "attempt 1 from 7\n"


def test_time_limit_tells_the_script_and_the_next_attempt_goes_on(lab: SlurmLab) -> None:
    lab.script(CHECKPOINTS)
    lab.submit("time_limit_min=1", "retries=1", "compute.grace_s=40")
    lab.running(lab.run(), "attempt")
    lab.slurm(
        "scancel", "--batch", "--signal=USR2", lab.job(lab.run())
    )  # Slurm's own comes up to a minute late
    resumed(lab, lab.run())


def test_time_limit_without_retries_is_the_cause(lab: SlurmLab) -> None:
    lab.script(CHECKPOINTS)
    lab.submit("time_limit_min=1", "compute.grace_s=40")
    lab.running(lab.run(), "attempt")
    lab.slurm("scancel", "--batch", "--signal=USR2", lab.job(lab.run()))
    run = lab.over(lab.run())
    assert run.state is State.FAILED
    assert run.cause is not None
    assert run.cause.kind == "time_limit"
    assert "time_limit_min=1" in run.cause.message


def test_a_time_limit_that_slurm_was_given_later_holds(lab: SlurmLab) -> None:
    """Slurm has announced the first one, which comes up to a minute early."""
    lab.script(
        "import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: print('told', flush=True))\n"
        "print('up', flush=True)\ntime.sleep(300)"
    )
    lab.submit("time_limit_min=0.3", "compute.grace_s=8")
    lab.running(lab.run(), "up")
    job = lab.job(lab.run())
    lab.slurm("scancel", "--batch", "--signal=USR2", job)
    lab.running(lab.run(), "told")
    lab.slurm("scontrol", "update", f"jobid={job}", "timelimit=10")
    time.sleep(20)
    assert lab.state_of(lab.run()) == "Running", read_run(lab.run())
    lab.command("runs", "cancel", lab.run().id)


def test_a_time_limit_that_was_shortened_is_the_cause(lab: SlurmLab) -> None:
    lab.script(CHECKPOINTS)
    lab.submit("time_limit_min=60")
    lab.running(lab.run(), "attempt")
    lab.slurm("scontrol", "update", f"jobid={lab.job(lab.run())}", "timelimit=1")
    lab.slurm("scancel", "--batch", "--signal=USR2", lab.job(lab.run()))
    cause = lab.over(lab.run()).cause
    assert cause is not None
    assert (cause.kind, cause.message) == (
        "time_limit",
        "Slurm's time limit of 1 min was about to be reached",
    )


def test_time_in_suspension_does_not_count(lab: SlurmLab) -> None:
    lab.script(SLEEPS)
    lab.submit("time_limit_min=0.2", "compute.grace_s=3")
    lab.running(lab.run(), "up")
    job = lab.job(lab.run())
    lab.slurm("scontrol", "suspend", job)
    time.sleep(15)
    lab.slurm("scontrol", "resume", job)
    time.sleep(3)
    assert lab.state_of(lab.run()) == "Running", read_run(lab.run())
    cause = lab.over(lab.run()).cause
    assert cause is not None
    assert cause.message == "time_limit_min=0.2 was reached"


def test_preempted_runs_are_requeued_and_go_on(lab: SlurmLab) -> None:
    lab.script(CHECKPOINTS)
    place = ("compute.partition=low", "compute.nodelist=node3", "compute.exclusive=true")
    lab.submit(*place, "retries=1")
    lab.running(lab.run(), "attempt")
    lab.script("pass", "other.py")
    lab.submit("script=other.py", *place, "compute.partition=debug")
    resumed(lab, lab.run())
    assert lab.over(lab.run(2)).state is State.COMPLETED


def test_a_refused_requeue_is_submitted_again(lab: SlurmLab) -> None:
    lab.script(CHECKPOINTS)
    lab.submit("retries=1")
    lab.running(lab.run(), "attempt")
    first = lab.job(lab.run())
    lab.slurm("scontrol", "update", f"jobid={first}", "requeue=0")
    lab.slurm("scancel", "--batch", "--signal=USR2", first)
    resumed(lab, lab.run())
    assert lab.job(lab.run()) != first


def test_a_node_that_dies_is_left_and_the_run_requeued(lab: SlurmLab) -> None:
    lab.script(SLEEPS)
    lab.submit(*TWO_NODES, "retries=1", "compute.nodelist='node[2,4]'")
    lab.running(lab.run(), "up")
    lab.cluster.stop("node4")
    try:
        until(lambda: lab.run().attempt_lost(0).exists() or read_run(lab.run()).state is State.QUEUED
              or lab.state_of(lab.run()) == "Queued", "requeue", 90)  # fmt: skip
        until(lambda: not lab.on("node2", str(lab.run().root)), "end of the processes on the other node", 60)
    finally:
        lab.cluster.start("node4")
        until(lambda: lab.run().attempt_state(1).exists() or lab.cluster.idle() == lab.cluster.nodes,
              "node4 again, idle or at work", 90)  # fmt: skip
    run = until(lambda: 1 in lab.run().attempts() and lab.running(lab.run()), "the second attempt", 90)
    assert run
    assert lab.command("runs", "cancel", lab.run().id).returncode == 0
    assert lab.over(lab.run()).state is State.CANCELED


def test_the_loss_of_another_nodes_agent_ends_the_run_with_its_name(lab: SlurmLab) -> None:
    lab.script(SLEEPS)
    lab.submit(*TWO_NODES, "compute.nodelist='node[1-2]'")
    lab.running(lab.run(), "up")
    lab.cluster.exec("node2", ["pkill", "-KILL", "-f", "node slurm"])
    run = lab.over(lab.run(), 60)
    assert run.state is State.FAILED
    assert run.cause is not None
    assert "node2" in run.cause.message
    for node in ("node1", "node2"):
        until(lambda node=node: not lab.on(node, str(lab.run().root)), f"nothing left on {node}", 30)


@pytest.mark.parametrize("retries", [0, 1])
def test_the_loss_of_agent_0_is_told_or_mended(lab: SlurmLab, retries: int) -> None:
    lab.script(
        "import os, time\nprint('up', flush=True)\n"
        "time.sleep(300 if os.environ['LAUNCHER_ATTEMPT'] == '0' else 0)"
    )
    lab.submit(*TWO_NODES, f"retries={retries}", "compute.nodelist='node[1-2]'")
    lab.running(lab.run(), "up")
    workers = lab.on("node1", f"job {lab.run().root}/job")
    lab.cluster.exec("node1", ["kill", "-KILL", str(max(workers))])  # the guard is its parent
    run = lab.over(lab.run(), 60)
    assert run.state is (State.COMPLETED if retries else State.FAILED), run
    if not retries:
        assert run.cause is not None
        assert run.cause.kind == "supervisor_lost"
    for node in ("node1", "node2"):
        until(lambda node=node: not lab.on(node, str(lab.run().root)), f"nothing left on {node}", 30)


@pytest.mark.parametrize("requeue", [True, False])
def test_a_retry_that_waits_outlives_its_agent(lab: SlurmLab, *, requeue: bool) -> None:
    """The other nodes are lost, and then the agent that has had the job requeued, or is about to."""
    lab.script(
        "import os, time\nprint('up', flush=True)\n"
        "time.sleep(300 if os.environ['LAUNCHER_ATTEMPT'] == '0' else 0)"
    )
    lab.submit(*TWO_NODES, "retries=2", "compute.nodelist='node[1-2]'")
    lab.running(lab.run(), "up")
    job = lab.job(lab.run())
    agent = max(lab.on("node1", f"job {lab.run().root}/job"))  # the guard is its parent
    lab.cluster.exec("node1", ["pkill", "-KILL", "srun"])
    until(lambda: read_run(lab.run()).state is State.QUEUED, "the end of the first attempt")
    if requeue:
        until(lambda: "Restarts=1" in lab.slurm("scontrol", "show", "job", job), "requeue")
    lab.cluster.exec("node1", ["kill", "-KILL", str(agent)])
    run = lab.over(lab.run(), 120)
    assert (run.state, run.attempts) == (State.COMPLETED, (0, 1)), run


def job_processes(lab: SlurmLab, node: str) -> list[str]:
    """Return the shell of the only run's job on a node, its agent's guard, and its agent."""
    guard, agent = sorted(lab.on(node, f"python.* job {lab.run().root}/job"))
    shell = lab.cluster.exec(node, ["ps", "--format=ppid=", f"--pid={guard}"]).stdout
    return [shell.strip(), str(guard), str(agent)]


def test_a_job_that_is_killed_with_its_guard_is_ended_by_the_schedulers_word(lab: SlurmLab) -> None:
    lab.script(SLEEPS)
    lab.submit()
    run = lab.running(lab.run(), "up")
    node = run.nodes[0]["name"]
    pids = job_processes(lab, node)
    # Stopped first, or the agent might tell of its guard's end before it is killed itself.
    lab.cluster.exec(node, ["kill", "-STOP", *pids])
    lab.cluster.exec(node, ["kill", "-KILL", *pids])
    run = lab.over(lab.run(), 60)
    assert run.state is State.FAILED
    assert run.cause is not None
    assert run.cause.kind == "agent_lost"
    assert node in run.cause.message


@pytest.mark.parametrize("teardown", [False, True])
@pytest.mark.parametrize("retries", [0, 1])
@pytest.mark.parametrize("killed", ["guard", "guard and agent"])
def test_a_guard_that_was_killed_is_the_cause(
    lab: SlurmLab, killed: str, retries: int, *, teardown: bool
) -> None:
    """Nobody asked the agent to end: it requeues the job, and its successor does if it was killed as well."""
    lab.script(
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: [time.sleep(4), sys.exit(0)])\n"
        "print('up', flush=True)\n"
        "time.sleep(300 if os.environ['LAUNCHER_ATTEMPT'] == '0' else 0)"
    )
    more = ["compute.teardown=['true']"] if teardown else []
    lab.submit(f"retries={retries}", *more, "compute.nodelist=node1")
    lab.running(lab.run(), "up")
    _, guard, agent = job_processes(lab, "node1")
    pids = [guard] if killed == "guard" else [guard, agent]
    lab.cluster.exec("node1", ["kill", "-STOP", *pids])
    lab.cluster.exec("node1", ["kill", "-KILL", *pids])
    run = lab.over(lab.run(), 60)
    if retries:
        assert (run.state, run.attempts) == (State.COMPLETED, (0, 1)), run
    else:
        whom = "process that guards the supervisor" if killed == "guard" else "supervisor"
        assert run.cause is not None
        assert run.cause.message == f"the {whom} was killed"


def test_a_rank_that_crashes_on_another_node_is_named(lab: SlurmLab) -> None:
    lab.script(
        "import os, sys, time\nif os.environ['RANK'] == '3':\n"
        "    sys.exit(print('bad input') or 9)\ntime.sleep(300)"
    )
    done = lab.launch("distribution=torch", "nodes=2", "processes_per_node=2")
    assert done.returncode == 1
    cause = read_run(lab.run()).cause
    assert cause is not None
    assert (cause.rank, cause.exit_code, cause.last_lines) == (3, 9, ("bad input",))
    assert cause.node is not None
    assert cause.node.startswith("node")


def test_scancel_from_outside_is_a_cancellation(lab: SlurmLab) -> None:
    lab.script(SLEEPS)
    lab.submit(*TWO_NODES)
    lab.running(lab.run(), "up")
    lab.slurm("scancel", lab.job(lab.run()))
    run = lab.over(lab.run())
    assert run.state is State.CANCELED
    assert run.cause is not None
    assert "scancel" in run.cause.message


def test_canceling_a_waiting_run_removes_its_job(lab: SlurmLab) -> None:
    lab.script("pass")
    lab.submit("compute.additional_parameters={begin: now+1hour}")
    waits = "pending: BeginTime, expected start"
    until(lambda: waits in lab.command("runs", "show", "latest").stdout, waits)
    job = lab.job(lab.run())
    assert lab.command("runs", "cancel", lab.run().id).returncode == 0
    assert lab.over(lab.run()).state is State.CANCELED
    assert job not in lab.slurm("squeue", "--noheader", "--format=%A").split()


def test_what_sbatch_refuses_is_told_in_its_words(lab: SlurmLab) -> None:
    lab.script("pass")
    done = lab.launch("compute.constraint=no-such-feature")
    assert done.returncode == 1
    assert "Invalid feature specification" in done.stderr
    assert "Traceback" not in done.stderr
    assert read_run(lab.run()).state is State.FAILED


def test_the_controller_may_be_away_for_a_while(lab: SlurmLab) -> None:
    may_end = lab.source.parent / "may-end"
    waits = f"while not os.path.exists({str(may_end)!r}): time.sleep(0.1)"
    lab.script(f"import os, time; print('up', flush=True)\n{waits}")
    lab.submit()
    lab.running(lab.run(), "up")
    # The controller writes its own record of jobs some seconds after one has changed.
    lab.slurm("scontrol", "update", f"JobId={lab.job(lab.run())}", "Comment=changed")
    began, saved = time.time(), lab.cluster.layout.root / "state" / "job_state"
    until(lambda: saved.exists() and saved.stat().st_mtime > began, "the controller's own record of the job")
    lab.cluster.kill_daemon("slurmctld")
    try:
        second = lab.start("wait=false")  # has to wait for it
        time.sleep(5)
        assert second.poll() is None
        assert lab.state_of(lab.run()) == "Running"
    finally:
        lab.cluster.start_daemon("slurmctld")
        may_end.touch()
    _, words = second.communicate(timeout=120)
    assert second.returncode == 0, words
    for number in (1, 2):
        assert lab.over(lab.run(number), 120).state is State.COMPLETED


def test_the_accounting_may_be_away(lab: SlurmLab) -> None:
    lab.script(SLEEPS)
    lab.cluster.kill_daemon("slurmdbd")
    try:
        lab.submit()
        lab.running(lab.run(), "up")
        lab.slurm("scancel", lab.job(lab.run()))
        assert lab.over(lab.run(), 60).state is State.CANCELED
    finally:
        lab.cluster.start_daemon("slurmdbd")


def test_a_launcher_killed_between_sbatch_and_recording_the_id(lab: SlurmLab, tmp_path: Path) -> None:
    """The job is found again by the folder that it was submitted from; it is not submitted twice."""
    fake = tmp_path / "bin"
    fake.mkdir()
    real = subprocess.run(
        ["sh", "-c", "command -v sbatch"], capture_output=True, text=True, check=True
    ).stdout.strip()
    (fake / "sbatch").write_text(f'#!/bin/sh\n{real} "$@"\nkill -KILL $PPID\n')
    (fake / "sbatch").chmod(0o755)
    lab.env["PATH"] = f"{fake}:{lab.env['PATH']}"
    lab.script("print('once')")
    killed = lab.launch("wait=false")
    assert killed.returncode == -signal.SIGKILL
    run = lab.over(lab.run(), 60)
    assert run.state is State.COMPLETED, run
    assert logs(lab.run(), 0) == "once\n"
    told = lab.slurm("squeue", "--noheader", "--states=all", "--Format=WorkDir:;").splitlines()
    assert told.count(f"{lab.run().root}/job;") == 1


def test_a_launcher_killed_before_sbatch_leaves_no_run_open(lab: SlurmLab, tmp_path: Path) -> None:
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "sbatch").write_text("#!/bin/sh\nkill -KILL $PPID\n")
    (fake / "sbatch").chmod(0o755)
    lab.env["PATH"] = f"{fake}:{lab.env['PATH']}"
    lab.script("pass")
    assert lab.launch("wait=false").returncode == -signal.SIGKILL
    run = lab.over(lab.run(), 60)
    assert run.state is State.FAILED
    assert run.cause is not None
    assert run.cause.kind == "launcher_lost"


def test_a_member_of_an_array_is_requeued_alone(lab: SlurmLab) -> None:
    lab.script(
        "import os\nif os.environ['X'] == '1' and os.environ['LAUNCHER_ATTEMPT'] == '0':\n"
        "    os.kill(os.getppid(), 9)"
    )
    done = lab.launch("-m", "env.X=0,1,2", "retries=1")
    assert done.returncode == 0, done.stderr
    assert [read_run(lab.run(number)).attempts for number in (1, 2, 3)] == [(0,), (0, 1), (0,)]


def test_a_prolog_that_fails_is_a_fault_of_the_node_and_no_cancel(lab: SlurmLab) -> None:
    """Slurm says CANCELLED of a job whose prolog has failed and that may not be requeued."""
    prolog = lab.source.parent / "prolog"
    prolog.write_text("#!/bin/sh\nexit 1\n")
    prolog.chmod(0o755)
    conf = Path(lab.env["SLURM_CONF"])
    before = conf.read_text()
    lab.script("print('not reached')")
    conf.write_text(f"{before}Prolog={prolog}\n")
    try:
        lab.slurm("scontrol", "reconfigure")
        lab.submit("compute.nodelist=node2")
        run = lab.over(lab.run())
    finally:
        conf.write_text(before)
        lab.slurm("scontrol", "reconfigure")
        lab.slurm("scontrol", "update", "nodename=node2", "state=resume")
        until(lambda: lab.cluster.idle() == lab.cluster.nodes, "idle nodes", 180)
    assert run.state is State.FAILED
    assert run.cause is not None
    assert run.cause.kind == "node_fail"
    assert run.cause.message.endswith("on node2: Error running slurm prolog: 1")
