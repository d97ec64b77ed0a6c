"""Runs in containers as time goes on: canceled, retried, in sweeps, run again."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

from launcher.paths import StoreFolder
from launcher.spec import State
from launcher.store.runs import read_run
from tests.engine.images import BASE
from tests.integration.conftest import HANDLES, until
from tests.integration.docker.lab import SLEEPS, TWO, Boxed

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.paths import RunFolder


def test_detached_canceled_and_told_to_end(lab: Boxed) -> None:
    lab.launch(lab.shell(HANDLES), *TWO, "wait=false")
    lab.running(lab.run(), "up")
    lab.cancel()
    assert lab.log().startswith("up\n")
    assert lab.log().endswith("told\n")


def test_a_time_limit_and_a_retry(lab: Boxed) -> None:
    command = lab.shell('echo "attempt $LAUNCHER_ATTEMPT"; [ "$LAUNCHER_ATTEMPT" = 1 ] || sleep 300')
    done = lab.launch(command, "time_limit_min=0.1", "retries=1")
    assert done.returncode == 0, done.stderr
    assert (lab.run().logs / "attempt-1" / "worker-0.log").read_text() == "attempt 1\n"
    lab.nothing_left()


def test_a_script_that_makes_its_folders_anew(lab: Boxed) -> None:
    text = "rm -rf outputs logs && mkdir outputs logs && echo hi >outputs/model.txt && echo up"
    done = lab.launch(lab.shell(text))
    assert (done.returncode, done.stdout) == (0, "up\n"), done.stderr
    assert (lab.run().outputs / "model.txt").read_text() == "hi\n"
    assert lab.log() == "up\n"
    lab.nothing_left()


def test_a_sweep_side_by_side(lab: Boxed) -> None:
    command = lab.shell('echo "$X"; exit $X')
    done = lab.launch("-m", command, "env.X=0,1,2", "compute.max_parallel=2")
    assert done.returncode == 1
    states = [read_run(lab.run(number)).state for number in (1, 2, 3)]
    assert states == [State.COMPLETED, State.FAILED, State.FAILED]
    lab.nothing_left()


def test_members_with_different_options_take_turns(lab: Boxed) -> None:
    command = lab.shell("mkdir /shared/alone && df -k /dev/shm && sleep 1 && rmdir /shared/alone")
    shared = lab.source.parent / "shared"
    shared.mkdir()
    words = [f"compute.mounts=[{shared}:/shared]", "compute.shm_size_gib=1,2", "compute.max_parallel=1"]
    done = lab.launch("-m", command, *words)
    assert done.returncode == 0, done.stderr
    for number, size in ((1, "1048576"), (2, "2097152")):
        assert size in lab.log(number=number).split()
    lab.nothing_left()


def test_a_sweep_into_two_stores(lab: Boxed, tmp_path: Path) -> None:
    """Each has a supervisor; what the first removes as it ends is its own alone."""
    shared = tmp_path / "shared"
    shared.mkdir()
    command = lab.shell("mkdir /shared/first 2>/dev/null || until [ -e /shared/go ]; do sleep 0.05; done")
    stores = [StoreFolder(tmp_path / "one"), StoreFolder(tmp_path / "two")]
    words = [f"store={stores[0].root},{stores[1].root}", f"compute.mounts=[{shared}:/shared]"]
    launch = lab.start("-m", command, *words)

    def first() -> RunFolder | None:
        runs = [store.run("mnist", 1) for store in stores]
        return next((run for run in runs if run.end.exists()), None)

    ended = until(first, "the end of one of them")
    until(lambda: not lab.processes(ended), "the end of its supervisor")
    time.sleep(1)  # in which the other would be told that its container is gone
    (shared / "go").touch()
    launch.communicate(timeout=120)
    states = [read_run(store.run("mnist", 1)).state for store in stores]
    assert (launch.returncode, states) == (0, [State.COMPLETED] * 2)
    lab.nothing_left()


def test_rerun_has_the_same_image(lab: Boxed) -> None:
    client: Any = lab.engine.client()
    tag = ("launcher-test/moving", "1")
    client.images.get(lab.image).tag(*tag)
    command = lab.shell("cat /etc/passwd | head -1; type python3 || true")
    assert lab.launch(command, "environment.image=launcher-test/moving:1").returncode == 0
    client.images.get(lab.engine.image(BASE)).tag(*tag)  # today it is another
    assert lab.command("runs", "rerun", "mnist/1").returncode == 0
    assert lab.log(0, 2) == lab.log(0, 1)
    first, second = (read_run(lab.run(number)).submit["environment"]["image"] for number in (1, 2))
    assert first == second
    lab.nothing_left()


def test_ctrl_c_while_watching(lab: Boxed) -> None:
    watching = lab.start(lab.shell(SLEEPS))
    lab.running(lab.run(), "up")
    watching.send_signal(signal.SIGINT)
    assert watching.stderr is not None
    for line in watching.stderr:
        if "again within" in line:
            break
    watching.send_signal(signal.SIGINT)
    watching.communicate(timeout=60)
    assert lab.over(lab.run()).state is State.CANCELED
    lab.nothing_left()


def test_a_folder_of_the_source_and_standard_input(lab: Boxed) -> None:
    (lab.source / "sub").mkdir()
    (lab.source / "sub" / "in.txt").write_text("read\n")
    lab.script('cat; basename "$PWD"; cat in.txt >outputs/"$RANK"; ! env | grep _STDIN', "sub/script.sh")
    done = lab.launch("command=[sh,script.sh]", *TWO, "cwd=sub", "stdin=sub/in.txt")
    assert done.returncode == 0, done.stderr
    assert (lab.log(0), lab.log(1)) == ("read\nsub\n", "sub\n")
    assert (lab.run().outputs / "0").read_text() == "read\n"
    lab.nothing_left()
