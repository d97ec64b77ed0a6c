"""Single launches on this machine, through the command line."""

from __future__ import annotations

import gzip
import json
import os
import pty
import shutil
import signal
import socket
import statistics
import sys
import time
from typing import TYPE_CHECKING

import pytest

from launcher.spec import State
from launcher.store.runs import read_run, request_cancel
from launcher.view import duration

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.integration.conftest import Lab

_SLEEP = "import time; print('up', flush=True); time.sleep(300)"
_NEEDS_MPI = pytest.mark.skipif(shutil.which("mpirun") is None, reason="no mpirun on PATH")


def test_a_run_that_completes(lab: Lab) -> None:
    lab.script("open('outputs/model', 'w').write('m'); print('trained')")
    done = lab.launch()
    assert (done.returncode, done.stdout) == (0, "trained\n")
    for word in ("mnist/1  Preparing", "Queued", "Running", "mnist/1  Completed", str(lab.run().outputs)):
        assert word in done.stderr
    run = read_run(lab.run())
    assert (run.state, run.cause) == (State.COMPLETED, None)
    assert (lab.run().outputs / "model").read_text() == "m"
    assert (lab.run().root / "manifest.json").exists()
    assert [phase.state for phase in run.phases] == [
        "Preparing",
        "Queued",
        "Starting",
        "Running",
        "Finalizing",
    ]
    assert lab.left_in_tmp(lab.run()) == []


def test_a_run_that_fails(lab: Lab) -> None:
    lab.script("import sys; print('so far'); sys.exit('it broke')")
    done = lab.launch()
    assert (done.returncode, done.stdout) == (1, "so far\nit broke\n")
    assert "exited with 1 (while Running)" in done.stderr
    assert "it broke" not in done.stderr  # it is in the output already
    assert f"next     python -m launcher runs logs {lab.run().id}\n" in done.stderr
    run = read_run(lab.run())
    assert f"{lab.run().id}  Failed after {duration(run.seconds(0) or 0)}\n" in done.stderr
    assert run.cause is not None
    assert (run.state, run.cause.kind, run.cause.exit_code) == (State.FAILED, "exit", 1)


def test_an_input_that_cannot_be_fetched(lab: Lab) -> None:
    lab.script("print('never')")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        uri = f"http://me:hunter2@127.0.0.1:{taken.getsockname()[1]}/faces"
        done = lab.launch(f"+data.inputs.faces.uri={uri}", "+data.inputs.faces.files=a|b")
    assert (done.returncode, done.stdout) == (1, "")
    shown = json.loads(lab.command("runs", "show", "mnist/1", "--json").stdout)
    assert (shown["cause"]["kind"], shown["cause"]["phase"]) == ("data", "Preparing")
    assert shown["cause"]["message"].startswith("data.inputs.faces.uri: cannot fetch http://***@127.0.0.1:")
    assert "/faces: connection refused. " in shown["cause"]["message"]
    assert "hunter2" not in done.stderr


def test_an_input_where_the_script_expects_it(lab: Lab, tmp_path: Path) -> None:
    """As torchvision looks for MNIST: below a folder that the source has too."""
    lab.script(
        "from pathlib import Path\n"
        "files = sorted(Path('data/set/MNIST/raw').iterdir())\n"
        "print(Path('data/list.txt').read_text(), len(files), files[0].stat().st_size)\n"
    )
    (lab.source / "data").mkdir()
    (lab.source / "data" / "list.txt").write_text("mine")
    files = tmp_path / "mnist"
    files.mkdir()
    for part in ("train", "t10k"):
        (files / f"{part}-images-idx3-ubyte").write_bytes(b"images")
        (files / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"labels"))
    given = ["uri=" + str(files), "layout=torchvision", "at=data/set"]
    words = ["data=mnist", *(f"++data.inputs.mnist.{word}" for word in given)]
    done = lab.launch(*words, "++data.inputs.mnist.at=data")
    assert done.returncode == 2
    assert "data.inputs.mnist.at: got 'data'; expected a path that the source does not have" in done.stderr
    done = lab.launch(*words, "nodes=2", "distribution=torch")
    assert done.returncode == 0, done.stderr
    for rank in range(2):
        assert (lab.run().logs / f"worker-{rank}.log").read_text() == "mine 4 6\n"
    assert not (lab.run().root / "work").exists()
    assert [path.name for path in (lab.run().source / "data").iterdir()] == ["list.txt"]


def test_the_first_failure_ends_the_rest_and_is_named(lab: Lab) -> None:
    lab.script(
        "import os, sys, time, signal\nfrom pathlib import Path\n"
        "deaf = [Path(f'outputs/deaf-{rank}') for rank in range(4)]\n"
        "if os.environ['RANK'] == '2':\n"
        "    while sum(path.exists() for path in deaf) < 3: time.sleep(0.02)\n"
        "    print('bad luck'); print(time.time()); sys.exit(9)\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"  # has to be killed
        "deaf[int(os.environ['RANK'])].touch()\n"
        "time.sleep(300)\n"
    )
    done = lab.launch("distribution=torch", "nodes=2", "processes_per_node=2")
    assert done.returncode == 1
    run = read_run(lab.run())
    cause = run.cause
    assert cause is not None
    assert (cause.node, cause.rank, cause.role, cause.exit_code) == ("node1", 2, "worker", 9)
    assert cause.message == "rank 2 on node1 exited with 9"
    assert cause.last_lines[0] == "bad luck"
    assert "| bad luck" in done.stderr  # of a log that was not followed
    assert f"runs logs {lab.run().id} --process worker-2" in done.stderr
    ends = {item["rank"]: (item["ended"], item["signal"]) for item in run.processes}
    assert max(ended for ended, _ in ends.values()) - float(cause.last_lines[1]) < 20  # 3 of them grace
    assert [signum for _, signum in ends.values()] == [9, 9, None, 9]
    assert lab.processes(lab.run()) == []


def test_the_time_limit(lab: Lab) -> None:
    lab.script(_SLEEP)
    assert lab.launch("time_limit_min=0.01").returncode == 1
    cause = read_run(lab.run()).cause
    assert cause is not None
    assert cause.kind == "time_limit"


def test_retries_keep_the_logs_of_every_attempt(lab: Lab) -> None:
    lab.script("import os, sys; a = os.environ['LAUNCHER_ATTEMPT']; print('attempt', a); sys.exit(a != '2')")
    done = lab.launch("retries=2")
    assert (done.returncode, done.stdout) == (0, "attempt 0\nattempt 1\nattempt 2\n")
    assert [(lab.run().attempt_logs(k) / "worker-0.log").read_text() for k in range(3)] == [
        f"attempt {k}\n" for k in range(3)
    ]
    assert read_run(lab.run()).attempts == (0, 1, 2)


def test_canceling(lab: Lab) -> None:
    lab.script(_SLEEP)
    launch = lab.start()
    lab.running(lab.run(), "up")
    request_cancel(lab.run())
    _, err = launch.communicate(timeout=60)
    assert launch.returncode == 1
    assert "mnist/1  Canceled" in err
    assert lab.over(lab.run()).state is State.CANCELED


def test_without_waiting_the_run_goes_on_by_itself(lab: Lab) -> None:
    lab.script("import time; time.sleep(0.5); print('done')")
    done = lab.launch("wait=false")
    assert (done.returncode, done.stdout) == (0, "")
    assert "runs logs -f mnist/1" in done.stderr
    assert lab.over(lab.run()).state is State.COMPLETED
    lab.until(lambda: not lab.processes(lab.run()), "end of the supervisor")


def interrupt(lab: Lab) -> subprocess.Popen[str]:
    """Start a launch and send it one SIGINT while its run is running."""
    lab.script(_SLEEP)
    launch = lab.start()
    lab.running(lab.run(), "up")
    launch.send_signal(signal.SIGINT)
    return launch


def test_one_interrupt_stops_watching(lab: Lab) -> None:
    launch = interrupt(lab)
    _, err = launch.communicate(timeout=60)
    assert launch.returncode == 130
    assert "Stopped watching" in err
    assert read_run(lab.run()).state is State.RUNNING


def test_two_interrupts_cancel(lab: Lab) -> None:
    launch = interrupt(lab)
    assert launch.stderr is not None
    for line in launch.stderr:
        if "again within" in line:
            break
    launch.send_signal(signal.SIGINT)
    launch.communicate(timeout=60)
    assert launch.returncode == 1
    assert read_run(lab.run()).state is State.CANCELED


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_the_launchers_end_is_not_the_runs(lab: Lab, signum: signal.Signals) -> None:
    lab.script(
        "import os, time\nprint('up', flush=True)\nwhile not os.path.exists('outputs/go'): time.sleep(0.05)"
    )
    launch = lab.start()
    lab.running(lab.run(), "up")
    launch.send_signal(signum)
    _, err = launch.communicate(timeout=60)
    assert launch.returncode == (-9 if signum == signal.SIGKILL else 128 + signum)
    assert ("runs logs -f mnist/1" in err) == (signum != signal.SIGKILL)
    assert not read_run(lab.run()).state.terminal
    (lab.run().outputs / "go").touch()
    assert lab.over(lab.run()).state is State.COMPLETED


def test_a_reader_that_goes_away_leaves_the_run_alone(lab: Lab) -> None:
    lab.script("import time\nfor i in range(40): print(i, 'x' * 3000, flush=True); time.sleep(0.02)")
    launch = lab.start()
    assert launch.stdout is not None
    launch.stdout.readline()
    launch.stdout.close()
    assert launch.stderr is not None
    err = launch.stderr.read()
    assert launch.wait(60) == 0
    assert "mnist/1  Completed" in err
    for word in ("Traceback", "Exception", "standard output"):
        assert word not in err


@pytest.mark.parametrize(
    ("how", "out"),
    [
        ("<&-", "outerr\n"),
        ("2>&-", "outerr\n"),
        ("2>/dev/full", "outerr\n"),
        ("<&- 2>&-", "outerr\n"),
        (">&-", ""),
        (">/dev/full", ""),
        ("<&- >&- 2>&-", ""),
    ],
)
@pytest.mark.parametrize(("code", "state"), [(0, State.COMPLETED), (1, State.FAILED)])
def test_a_run_does_not_depend_on_who_reads(lab: Lab, how: str, out: str, code: int, state: State) -> None:
    lab.script(  # rank 0 alone fails, or the other might end it before it has printed
        "import os, sys; os.write(1, b'out'); os.write(2, b'err\\n'); "
        f"sys.exit({code} if os.environ['RANK'] == '0' else 0)"
    )
    done = lab.redirected(how, *lab.line("nodes=2", "distribution=torch"))
    assert "Traceback" not in done.stderr
    run = read_run(lab.run())
    assert (done.returncode, run.state) == (code, state)
    assert (lab.run().logs / "worker-0.log").read_text() == "outerr\n"
    assert ("standard output cannot be written" in done.stderr) == (how in {">&-", ">/dev/full"})
    assert done.stdout == out


@_NEEDS_MPI
def test_mpirun_starts_without_standard_descriptors(lab: Lab) -> None:
    lab.script("import os; os.write(1, b'out\\n')")
    done = lab.redirected("<&- >&- 2>&-", *lab.line("nodes=2", "distribution=mpi"))
    assert (done.returncode, read_run(lab.run()).state) == (0, State.COMPLETED)
    assert (lab.run().logs / "worker-1.log").read_text() == "out\n"


def test_a_sweep_does_not_depend_on_who_reads(lab: Lab) -> None:
    lab.script("print('ran')")
    done = lab.redirected("<&- >&- 2>&-", *lab.line("-m", "args.x=1,2"))
    assert done.returncode == 0
    assert [read_run(lab.run(number)).state for number in (1, 2)] == [State.COMPLETED] * 2


def test_following_logs_ends_with_its_reader(lab: Lab) -> None:
    lab.script("import time\nwhile True: print('x' * 3000, flush=True); time.sleep(0.02)")
    lab.launch("wait=false")
    follower = lab.popen("runs", "logs", "-f", "latest")
    assert follower.stdout is not None
    follower.stdout.readline()
    follower.stdout.close()
    assert follower.stderr is not None
    assert (follower.stderr.read(), follower.wait(60)) == ("", 0)
    assert not read_run(lab.run()).state.terminal


def test_a_terminal_that_goes_away_ends_the_watching_alone(lab: Lab) -> None:
    lab.script(_SLEEP)
    head, tail = pty.openpty()
    code = (
        "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY);"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    launch = lab.popen_in([sys.executable, "-c", code, *lab.line()], stdin=tail, stdout=tail, stderr=tail)
    os.close(tail)
    lab.running(lab.run(), "up")
    os.close(head)  # the kernel sends SIGHUP, and writes fail with EIO
    assert launch.wait(60) == 129
    assert not read_run(lab.run()).state.terminal


def test_output_is_live(lab: Lab) -> None:
    """Every line is told before the next is written."""
    lab.script(
        "import os, time\nfor number in range(60):\n    print(time.time(), flush=True)\n"
        "    while not os.path.exists(f'outputs/read-{number}'): time.sleep(0.01)\n"
    )
    launch = lab.start()
    assert launch.stdout is not None
    delays: list[float] = []
    for number, line in enumerate(launch.stdout):
        delays.append(time.time() - float(line))
        (lab.run().outputs / f"read-{number}").touch()
    launch.communicate(timeout=60)
    assert len(delays) == 60
    delays.sort()
    print(f"median {statistics.median(delays) * 1000:.0f} ms, p95 {delays[56] * 1000:.0f} ms")  # noqa: T201
    assert statistics.median(delays) < 2  # 0.25 at most where nothing else runs


def test_arguments_and_variables_arrive_as_they_are(lab: Lab) -> None:
    lab.script(
        "import json, os, sys; print(json.dumps([sys.argv[1:], os.environ['ODD'], os.environ['LAUNCHER_RUN'],"
        " 'LAUNCHER_STORE' in os.environ]))"
    )
    odd = "a b'\"`$HOME;|&*ä\t\\"
    quoted = "'" + odd.replace("\\", "\\\\").replace("'", "\\'") + "'"
    done = lab.launch(f"+args.text={quoted}", "+args.v=true", "+args.many=[1,two]", f"+env.ODD={quoted}")
    assert done.returncode == 0, done.stderr
    expected = [["--text", odd, "-v", "--many", "1", "two"], odd, "mnist/1", False]
    assert json.loads(done.stdout) == expected


def test_a_command_that_is_not_there(lab: Lab) -> None:
    done = lab.launch("command=[no-such-program]", "script=null")
    assert done.returncode == 1
    assert "no-such-program: no such program" in done.stderr


def test_torch_ranks(lab: Lab) -> None:
    names = "RANK WORLD_SIZE LOCAL_RANK LOCAL_WORLD_SIZE NODE_RANK MASTER_ADDR LAUNCHER_NODE"
    lab.script(
        f"import os; print(*(os.environ[name] for name in '{names}'.split()), os.environ['MASTER_PORT'])"
    )
    assert lab.launch("distribution=torch", "nodes=2", "processes_per_node=2").returncode == 0
    lines = [(lab.run().logs / f"worker-{rank}.log").read_text().split() for rank in range(4)]
    assert [line[:7] for line in lines] == [
        [f"{rank}", "4", f"{rank % 2}", "2", f"{rank // 2}", "127.0.0.1", f"{rank // 2}"] for rank in range(4)
    ]
    assert len({line[7] for line in lines}) == 1


@_NEEDS_MPI
@pytest.mark.mpi
@pytest.mark.parametrize("nodes", [1, 2])
def test_mpi_ranks(lab: Lab, nodes: int) -> None:
    names = "LAUNCHER_RANK LAUNCHER_LOCAL_RANK LAUNCHER_NODE OMPI_COMM_WORLD_SIZE"
    lab.script(f"import os; print(*(os.environ.get(name) for name in '{names}'.split()))")
    done = lab.launch("distribution=mpi", f"nodes={nodes}", "processes_per_node=2")
    assert done.returncode == 0, done.stderr
    for rank in range(2 * nodes):
        words = (lab.run().logs / f"worker-{rank}.log").read_text().split()
        assert words[:3] == [f"{rank}", f"{rank % 2}", f"{rank // 2}"]
    run = read_run(lab.run())
    assert [(item["role"], item["exit_code"]) for item in run.processes] == [("worker", 0)] * 2 * nodes + [
        ("mpirun", 0)
    ]
    assert lab.left_in_tmp(lab.run()) == []


@_NEEDS_MPI
@pytest.mark.mpi
@pytest.mark.parametrize("nodes", [1, 2])
@pytest.mark.parametrize("how", ["sys.exit(9)", "os.kill(os.getpid(), 9)", "os.kill(os.getppid(), 9)"])
def test_the_mpi_rank_that_failed_is_named(lab: Lab, nodes: int, how: str) -> None:
    last = 2 * nodes - 1
    lab.script(
        f"import os, sys, time\nprint('rank up', flush=True)\n"
        f"if os.environ['LAUNCHER_RANK'] == '{last}': time.sleep(0.3); {how}\ntime.sleep(300)"
    )
    done = lab.launch("distribution=mpi", f"nodes={nodes}", "processes_per_node=2")
    assert done.returncode == 1
    cause = read_run(lab.run()).cause
    assert cause is not None
    assert (cause.rank, cause.role, cause.exit_code or cause.signal) == (last, "worker", 9)
    assert cause.last_lines[0] == "rank up"
    lab.until(lambda: not lab.processes(lab.run()), "end of all processes")


@_NEEDS_MPI
@pytest.mark.mpi
def test_the_ranks_of_a_running_mpi_run_are_shown_as_running(lab: Lab) -> None:
    lab.script(_SLEEP)
    assert lab.launch("distribution=mpi", "nodes=2", "processes_per_node=2", "wait=false").returncode == 0

    def shown() -> list[str]:
        lines = lab.command("runs", "show", lab.run().id).stdout.splitlines()
        return [line.rpartition(": ")[2] for line in lines if "rank " in line]

    assert lab.until(lambda: shown() == ["running"] * 4, "ranks that run")
    assert lab.command("runs", "cancel", lab.run().id).returncode == 0
    lab.over(lab.run())
    assert all(how.startswith("killed by signal") for how in shown())
