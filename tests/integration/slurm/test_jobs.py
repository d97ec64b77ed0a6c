"""compute=slurm on a real cluster: what is submitted, what jobs see, sweeps as arrays."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from typing import TYPE_CHECKING

import pytest

from launcher.spec import State
from launcher.store.runs import read_run
from tests.integration.conftest import REPOSITORY, until
from tests.integration.slurm.lab import SlurmLab

if TYPE_CHECKING:
    from pathlib import Path

SLEEPS = "import time; print('up', flush=True); time.sleep(300)"


def sweep_id(lab: SlurmLab) -> str:
    [sweep] = json.loads(lab.command("sweeps", "list", "--json").stdout)
    return sweep["id"]


def states(lab: SlurmLab) -> dict[str, int]:
    return json.loads(lab.command("sweeps", "show", "latest", "--json").stdout)["states"]


def test_options_reach_slurm_as_they_are(lab: SlurmLab) -> None:
    lab.script(SLEEPS)
    lab.submit(
        "distribution=torch", "nodes=2", "processes_per_node=3", "cpus_per_process=2", "memory_gib=1.5",
        "gpus_per_node=2", "time_limit_min=30", "compute.partition=low", "compute.exclude=node1",
        "compute.comment='a $(touch x) \\'b\\''", "compute.additional_parameters={nice: 7, mail_type: NONE}",
    )  # fmt: skip
    lab.running(lab.run(), "up")
    told = lab.slurm("scontrol", "show", "job", lab.job(lab.run()))
    for words in ("JobName=mnist-1", "NumNodes=2", "NumCPUs=12", "TimeLimit=00:30:00", "Partition=low",
                  "ExcNodeList=node1", "Nice=7", "Comment=a $(touch x) 'b'", "MinMemoryNode=1.50G",
                  "Requeue=0",
                  "gpu:2"):  # fmt: skip
        assert words in told


def test_jobs_get_a_clean_environment_and_modules_lines(lab: SlurmLab) -> None:
    lab.env["OF_THE_SHELL"] = "1"
    lab.script(
        "import os; print([os.environ.get(name) for name in ('OF_THE_SHELL', 'OF_THE_SETUP', 'OF_THE_RUN')])"
    )
    done = lab.launch(
        'compute.setup=["export OF_THE_SETUP=2"]', 'compute.teardown=["touch torn-down"]', "env.OF_THE_RUN=3"
    )
    assert done.stdout == "[None, '2', '3']\n", done.stderr
    until((lab.run().root / "job" / "torn-down").exists, "the job's last line")  # after the end of the run


def test_a_folder_of_the_source_and_standard_input(lab: SlurmLab) -> None:
    (lab.source / "sub").mkdir()
    (lab.source / "in.txt").write_text("read")
    lab.script(
        "import os, sys\nname = os.environ['LAUNCHER_RANK']\n"
        "open('outputs/' + name, 'w').write(os.path.basename(os.getcwd()) + sys.stdin.read())",
        "sub/script.py",
    )
    done = lab.launch("script=sub/script.py", "cwd=sub", "stdin=in.txt", "distribution=torch", "nodes=2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [(lab.run().outputs / rank).read_text() for rank in "01"] == ["subread", "sub"]


def test_a_job_can_submit(lab: SlurmLab) -> None:
    """What the outer job was given is no option of the inner one."""
    lab.script("print('inner')", "inner.py")
    words = json.dumps(lab.line("script=inner.py", "name=inner"))
    wanted = json.dumps(
        {name: lab.env[name] for name in ("LAUNCHER_STORE", "LAUNCHER_CACHE", "SLURM_CONF", "PATH")}
    )
    lab.script(
        f"import os, subprocess, sys\nos.environ.update({wanted})\nos.chdir({str(REPOSITORY)!r})\n"
        f"sys.exit(subprocess.run({words}).returncode)"
    )
    done = lab.launch(
        "distribution=torch", "nodes=1", "cpus_per_process=2", "memory_gib=1", "gpus_per_node=1"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert read_run(lab.store.run("inner", 1)).state is State.COMPLETED


def test_a_script_that_makes_its_folders_anew(lab: SlurmLab) -> None:
    """Rank 0 on its node; the other node's rank writes into the new folder."""
    lab.script(
        "import os, shutil, time\n"
        "if os.environ['RANK'] == '0':\n"
        "    for name in ('outputs', 'logs'): shutil.rmtree(name); os.mkdir(name)\n"
        "    open('outputs/go', 'w')\n"
        "else:\n"
        "    while not os.path.exists('outputs/go'): time.sleep(0.02)\n"
        "    open('outputs/rank-1', 'w')\n"
        "print('done')\n"
    )
    done = lab.launch("distribution=torch", "nodes=2")
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    assert {path.name for path in lab.run().outputs.iterdir()} == {"go", "rank-1"}
    assert {path.name for path in lab.run().logs.iterdir()} == {"worker-0.log", "worker-1.log"}


def test_a_sweep_is_one_array_a_shape(lab: SlurmLab) -> None:
    lab.script("import os; print(os.environ['SLURM_ARRAY_TASK_ID'], os.environ['X'])")
    words = ("env.X=0,1,2,3", "nodes=1,2", "distribution=torch", "compute.max_parallel=3")
    done = lab.launch("-m", *words)
    assert done.returncode == 0, done.stderr
    runs = [read_run(lab.run(number)) for number in range(1, 9)]
    assert {run.state for run in runs} == {State.COMPLETED}
    arrays = {lab.job(run.folder).split("_")[0] for run in runs}
    assert len(arrays) == 2
    scripts = [path.read_text() for path in lab.store.sweeps.glob("*/jobs/*/job.sh")]
    assert all("--array='0-3%3'" in text or "--array=0-3%3" in text for text in scripts)
    assert (lab.run(8).logs / "worker-0.log").read_text() == "3 3\n"


def test_eight_runs_of_two_nodes(lab: SlurmLab) -> None:
    lab.script("import os, socket; print(os.environ['LAUNCHER_NODE'], socket.gethostname())")
    done = lab.launch("-m", "env.X=range(8)", "nodes=2", "distribution=mpi")
    assert done.returncode == 0, done.stderr
    for number in range(1, 9):
        names = {(lab.run(number).logs / f"worker-{rank}.log").read_text().split()[1] for rank in (0, 1)}
        assert len(names) == 2


def test_arrays_are_no_larger_than_the_cluster_takes(lab: SlurmLab) -> None:
    lab.script("pass")
    done = lab.launch(
        "-m", "env.X=range(310)", "wait=false", "compute.additional_parameters={begin: now+1hour}"
    )
    assert done.returncode == 0, done.stderr
    listed = lab.slurm("squeue", "--noheader", "--format=%F %K").splitlines()
    assert sorted(re.sub(r"^\d+ ", "", line) for line in listed) == ["0-299%300", "0-9%10"]
    assert lab.command("sweeps", "cancel", "latest").returncode == 0
    until(lambda: states(lab) == {"Canceled": 310}, "all of them canceled", 90)


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (1, ["memory_gib=0.1,0.2,0.3"]),
        (2, ["env.X=range(7)"]),  # three arrays, since the cluster is taken to allow three members each
        (2, ["env.X=range(3)", "compute.comment=a,b"]),
    ],
)
def test_one_limit_for_all_arrays_of_a_sweep(lab: SlurmLab, limit: int, words: list[str]) -> None:
    lab.script(
        "import time\nbegan = time.time()\ntime.sleep(1.5)\n"
        "open('outputs/times', 'w').write(f'{began} {time.time()}')"
    )
    assert lab.launch("dry_run=true").returncode == 0  # the limits of the cluster are known
    [kept] = (lab.store.root.parent / "cache" / "slurm").glob("limits-*.json")
    kept.write_text(json.dumps({**json.loads(kept.read_text()), "max_array": 3}))
    assert lab.launch("-m", *words, f"compute.max_parallel={limit}", "wait=false").returncode == 0
    assert len(list(lab.store.sweeps.glob("*/jobs/*"))) == 3 - ("comment" in words[-1])
    assert lab.command("sweeps", "wait", "latest").returncode == 0
    paths = lab.store.runs.glob("*/*/outputs/times")
    spans = [[float(word) for word in path.read_text().split()] for path in paths]
    at_once = [sum(start <= moment < end for start, end in spans) for moment, _ in spans]
    assert max(at_once) == limit


def test_a_member_that_waits_is_canceled_at_once(lab: SlurmLab) -> None:
    lab.script(SLEEPS)
    assert lab.launch("-m", "env.X=range(4)", "compute.max_parallel=1", "wait=false").returncode == 0
    lab.running(lab.run(1), "up")
    began = time.monotonic()
    done = lab.command("runs", "cancel", "mnist/2", "mnist/4")
    assert time.monotonic() - began < 5
    assert done.stdout == "mnist/2  Canceled\nmnist/4  Canceled\n"
    for number in (2, 4):
        cause = read_run(lab.run(number)).cause
        assert cause is not None
        assert (cause.kind, cause.message) == ("cancel", "canceled while queued")
        assert (cause.node, cause.last_lines) == (None, ())
    assert states(lab) == {"Running": 1, "Canceled": 2, "Queued": 1}
    assert lab.command("sweeps", "cancel", "latest").returncode == 0
    until(lambda: states(lab) == {"Canceled": 4}, "all of them canceled", 90)


def test_cancel_one_some_and_all(lab: SlurmLab) -> None:
    lab.script(SLEEPS)
    done = lab.launch("-m", "env.X=range(5)", "compute.max_parallel=2", "wait=false")
    assert done.returncode == 0, done.stderr
    lab.running(lab.run(1), "up")
    lab.running(lab.run(2), "up")
    assert lab.command("sweeps", "cancel", "latest", "0", "4").returncode == 0
    until(lambda: states(lab).get("Canceled") == 2, "two of them canceled", 90)
    lab.running(lab.run(3), "up")
    assert lab.command("sweeps", "cancel", "latest").returncode == 0
    until(lambda: states(lab) == {"Canceled": 5}, "all of them canceled", 90)
    # A run may be told as canceled a moment before its job is over.
    until(lambda: not lab.slurm("squeue", "--noheader", "--states=RUNNING,PENDING"), "no job left")


def test_a_sweep_outlives_its_shell_and_only_what_failed_is_resumed(lab: SlurmLab) -> None:
    lab.script(
        "import os, sys\nfrom pathlib import Path\n"
        "sys.exit(os.environ['X'] == '1' and Path(os.environ['OK']).read_text() == 'no')"
    )
    good, better = lab.source.with_name("ok"), lab.source.with_name("better")
    good.write_text("no")
    shell = lab.start("-m", "env.X=0,1,2", f"env.OK={good}", start_new_session=True)
    until(lambda: list(lab.store.sweeps.glob("*/jobs/*/id.json")), "submission")
    os.killpg(shell.pid, signal.SIGKILL)
    assert lab.command("sweeps", "wait", "latest").returncode == 1
    assert states(lab) == {"Completed": 2, "Failed": 1}
    better.write_text("yes")
    better.replace(good)  # a node may know for a while what it has looked up, but sees what took its place
    assert lab.command("sweeps", "resume", "latest").returncode == 0
    assert states(lab) == {"Completed": 3}
    assert sorted(lab.store.numbers("mnist")) == [1, 2, 3, 4]


def test_the_scheduler_is_asked_at_most_twelve_times_a_minute(lab: SlurmLab, tmp_path: Path) -> None:
    """Three watchers and a sweep of ten, for twenty seconds."""
    counted, fake = tmp_path / "counted", tmp_path / "bin"
    fake.mkdir()
    for name in ("squeue", "sacct", "scontrol", "sinfo"):
        (fake / name).write_text(f'#!/bin/sh\necho {name} >>{counted}\nPATH=${{PATH#*:}} exec {name} "$@"\n')
        (fake / name).chmod(0o755)
    lab.script(SLEEPS)
    lab.launch("-m", "env.X=range(10)", "compute.max_parallel=1", "wait=false")  # fills the cache of limits
    lab.env["PATH"] = f"{fake}:{lab.env['PATH']}"
    sweep, began = sweep_id(lab), time.monotonic()
    for watcher in [lab.popen("sweeps", "wait", sweep, "--timeout=20") for _ in range(3)]:
        watcher.communicate(timeout=120)
    asked = counted.read_text().split()
    assert 1 <= len(asked) <= 1 + (time.monotonic() - began) / 5


def test_a_setup_line_that_fails_is_the_cause(lab: SlurmLab) -> None:
    lab.script("print('not reached')")
    done = lab.launch('compute.setup=["echo before", "source /no/such/conda.sh", "echo after"]', "retries=1")
    assert (done.returncode, done.stdout) == (1, "")
    run = read_run(lab.run())
    assert run.state is State.FAILED
    assert run.cause is not None
    assert (run.cause.kind, run.cause.message) == (
        "start",
        "compute.setup: source /no/such/conda.sh exited with 1",
    )
    assert "before" in run.cause.last_lines
    assert any("/no/such/conda.sh: No such file or directory" in line for line in run.cause.last_lines)
    assert "after" not in run.cause.last_lines


def test_a_command_calls_srun_itself(lab: SlurmLab) -> None:
    command = "command=[srun,-n1,sh,-c,'echo $A $SLURM_PROCID']"
    done = lab.launch("script=null", command, "env.A=5")
    assert (done.returncode, done.stdout) == (0, "5 0\n"), done.stderr


def test_one_command_has_all_nodes_for_its_own_srun(lab: SlurmLab) -> None:
    lab.script(
        "import subprocess\n"
        "print(*sorted(subprocess.check_output(['srun', 'sh', '-c', 'uname -n'], text=True).split()))\n"
    )
    done = lab.launch("nodes=2", "processes_per_node=2", "compute.nodelist='node[1-2]'")
    assert (done.returncode, done.stdout) == (0, "node1 node1 node2 node2\n"), done.stderr


def test_a_rank_calls_srun_beside_the_agents(lab: SlurmLab) -> None:
    lab.script(
        "import os, subprocess\n"
        "if os.environ['RANK'] == '0':\n"
        "    command = ['srun', '-N2', '-n2', 'sh', '-c', 'uname -n; echo ${SLURM_OVERLAP-none}']\n"
        "    print(*sorted(subprocess.check_output(command, text=True, timeout=100).split()))\n"
    )
    done = lab.launch("distribution=torch", "nodes=2", "compute.nodelist='node[1-2]'")
    assert (done.returncode, done.stdout) == (0, "node1 node2 none none\n"), done.stderr


def test_every_command_tells_why_runs_wait(lab: SlurmLab) -> None:
    lab.script("pass")
    words = ("env.X=1,2", "compute.partition=short", "wait=false")
    lab.slurm("scontrol", "update", "partitionname=short", "state=down")
    try:
        assert lab.launch("-m", *words).returncode == 0
        text = f"job {lab.job(lab.run(1))} is pending: PartitionDown"
        until(lambda: text in lab.command("runs", "show", "mnist/1").stdout, text)
        assert f"mnist/1: {text}" in lab.command("runs", "list").stdout
        assert f"{text} (and 1 more)" in lab.command("sweeps", "show", "latest").stdout
        for verb in ("runs", "mnist/1"), ("runs", "mnist/1", "mnist/2"), ("sweeps", "latest"):
            assert f"mnist/1: {text}" in lab.command(verb[0], "wait", *verb[1:], "--timeout=1").stderr
        follower = lab.popen("runs", "logs", "-f", "mnist/1")
        assert follower.stderr is not None
        assert follower.stderr.readline() == f"mnist/1: {text}\n"
        shown = json.loads(lab.command("sweeps", "show", "latest", "--json").stdout)["members"]
        found = [*shown, *json.loads(lab.command("runs", "list", "--json").stdout)]
        found.append(json.loads(lab.command("runs", "show", "mnist/1", "--json").stdout))
        found += json.loads(lab.command("runs", "wait", "mnist/1", "--timeout=0.1", "--json").stdout)
        assert len(found) == 6
        assert all("is pending: PartitionDown" in each["waits"] for each in found)
    finally:
        lab.slurm("scontrol", "update", "partitionname=short", "state=up")
    for number in (1, 2):
        assert lab.over(lab.run(number)).state is State.COMPLETED
    assert json.loads(lab.command("runs", "show", "mnist/1", "--json").stdout)["waits"] is None
    assert follower.wait(60) == 0


@pytest.mark.parametrize("held", [True, False])
def test_a_job_that_was_held_or_suspended_is_told(lab: SlurmLab, *, held: bool) -> None:
    lab.script(SLEEPS)
    lab.submit("retries=1")
    lab.running(lab.run(), "up")
    job = lab.job(lab.run())
    lab.slurm("scontrol", "requeuehold" if held else "suspend", job)
    text = f"job {job} is pending: job requeued in held state" if held else f"job {job} is SUSPENDED"
    try:
        until(lambda: text in lab.command("runs", "list").stdout, text)
    finally:
        lab.slurm("scontrol", "release" if held else "resume", job)
    assert lab.command("runs", "cancel", "latest").returncode == 0
