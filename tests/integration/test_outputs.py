"""Scripts that remove, replace or move ./outputs and ./logs: what they wrote is kept."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from launcher.spec import State
from launcher.store.runs import read_run
from tests.integration.conftest import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEAD = "import os, shutil, subprocess\nprint('begins', flush=True)\n"
TAIL = "\nprint('ends', flush=True)\n"

WAYS = {
    "shell": "subprocess.run('rm -rf outputs logs && mkdir outputs logs', shell=True, check=True)",
    "rmtree": "[(shutil.rmtree(name), os.makedirs(name)) for name in ('outputs', 'logs')]",
    "rename": "[(os.rename(name, 'old-' + name), os.mkdir(name)) for name in ('outputs', 'logs')]",
    "link": "[(os.mkdir('new-' + name), shutil.rmtree(name), os.symlink('new-' + name, name)) "
    "for name in ('outputs', 'logs')]",
}
WRITES = "\nfor name in ('outputs', 'logs'): open(name + '/model.txt', 'w').write('hi')"


class LabWithCwd(Lab):
    """A `Lab` whose processes start in a sub-folder of the source."""

    def script(self, text: str, name: str = "script.py") -> str:
        """See `Lab.script`."""
        (self.source / "sub").mkdir(exist_ok=True)
        return super().script(text, f"sub/{name}")

    def line(self, *words: str) -> list[str]:
        """See `Lab.line`."""
        return super().line("script=sub/script.py", "cwd=sub", *words)


@pytest.fixture(params=[Lab, LabWithCwd])
def lab(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Launches of a test's own scripts, from the source and from a sub-folder of it."""
    made = request.param(tmp_path)
    yield made
    made.clean_up()


def names(lab: Lab, number: int = 1) -> set[str]:
    listed = lab.command("runs", "files", f"mnist/{number}").stdout.split()
    return {word for word in listed if word.startswith(("outputs", "logs"))}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("work", ["link", "copy"])
def test_what_lies_in_a_replaced_folder_is_kept(lab: Lab, way: str, work: str) -> None:
    lab.script(HEAD + WAYS[way] + WRITES + TAIL)
    done = lab.launch(f"work={work}")
    assert (done.returncode, done.stdout) == (0, "begins\nends\n"), done.stderr
    assert names(lab) == {"outputs/model.txt", "logs/model.txt", "logs/worker-0.log"}
    for part in ("outputs", "logs"):
        assert (lab.run().root / part / "model.txt").read_text() == "hi"
    assert lab.command("runs", "logs", "mnist/1").stdout == "begins\nends\n"


def test_a_file_in_place_of_a_folder_is_kept(lab: Lab) -> None:
    lab.script(
        f"{HEAD}for name in ('outputs', 'logs'): shutil.rmtree(name); open(name, 'w').write('hi'){TAIL}"
    )
    assert lab.launch().returncode == 0
    assert names(lab) == {"outputs/outputs", "logs/logs", "logs/worker-0.log"}


@pytest.mark.parametrize("way", WAYS)
def test_a_killed_script_keeps_what_it_wrote(lab: Lab, way: str) -> None:
    lab.script(f"{HEAD}{WAYS[way]}{WRITES}\nprint('dies', flush=True); os.kill(os.getpid(), 9)")
    done = lab.launch()
    assert (done.returncode, done.stdout) == (1, "begins\ndies\n"), done.stderr
    cause = read_run(lab.run()).cause
    assert cause is not None
    assert cause.last_lines[-1] == "dies"
    assert names(lab) == {"outputs/model.txt", "logs/model.txt", "logs/worker-0.log"}


def test_a_killed_supervisor_leaves_the_same_folders(lab: Lab) -> None:
    lab.script(f"{HEAD}{WAYS['rmtree']}{WRITES}\nprint('up', flush=True)\nimport time; time.sleep(300)")
    lab.start("wait=false").communicate(timeout=60)
    lab.until(lambda: "logs/model.txt" in names(lab), "the files")
    state = json.loads(lab.run().attempt_state(0).read_text())
    os.kill(state["owner"]["pid"], signal.SIGKILL)
    assert lab.over(lab.run()).state is State.FAILED
    lab.until(lambda: not lab.run().outputs.is_symlink(), "its folder")
    assert names(lab) == {"outputs/model.txt", "logs/model.txt", "logs/worker-0.log"}
    assert lab.command("runs", "logs", "mnist/1").stdout == "begins\nup\n"


def test_files_and_logs_are_seen_while_the_run_goes_on(lab: Lab) -> None:
    lab.script(f"{HEAD}{WAYS['shell']}{WRITES}\nprint('up', flush=True)\nimport time; time.sleep(300)")
    lab.start("wait=false").communicate(timeout=60)
    lab.until(lambda: "logs/model.txt" in names(lab), "the files")
    assert "outputs/model.txt" in names(lab)
    lab.until(lambda: lab.command("runs", "logs", "mnist/1").stdout == "begins\nup\n", "the log")
    follow = lab.popen("runs", "logs", "-f", "mnist/1")
    assert follow.stdout is not None
    assert follow.stdout.readline() == "begins\n"
    assert lab.command("runs", "cancel", "mnist/1").returncode == 0
    assert follow.stdout.read() == "up\n"
    assert lab.over(lab.run()).state is State.CANCELED
    assert names(lab) == {"outputs/model.txt", "logs/model.txt", "logs/worker-0.log"}


@pytest.mark.parametrize("way", WAYS)
def test_the_next_attempt_goes_on_with_it(lab: Lab, way: str) -> None:
    lab.script(
        "import os, shutil, subprocess, sys\n"
        "if os.environ['LAUNCHER_ATTEMPT'] == '0':\n"
        f"    {WAYS[way]}\n"
        "    open('outputs/model.txt', 'w').write('hi')\n"
        "    open('outputs/path', 'w').write(os.path.realpath('outputs/model.txt'))\n"
        "    sys.exit('again')\n"
        "print(open('outputs/model.txt').read(), open(open('outputs/path').read()).read())\n"
    )
    done = lab.launch("retries=1")
    assert (done.returncode, done.stdout) == (0, "again\nhi hi\n"), done.stderr
    assert {"outputs/model.txt", "logs/worker-0.log", "logs/attempt-1/worker-0.log"} <= names(lab)


def test_processes_of_several_nodes_share_the_new_folder(lab: Lab) -> None:
    lab.script(
        "import os, shutil, time\n"
        "if os.environ['RANK'] == '0':\n"
        "    shutil.rmtree('outputs'); os.mkdir('outputs'); open('outputs/go', 'w')\n"
        "else:\n"
        "    while not os.path.exists('outputs/go'): time.sleep(0.02)\n"
        "    open('outputs/rank-1', 'w')\n"
    )
    done = lab.launch("distribution=torch", "nodes=2")
    assert done.returncode == 0, done.stderr
    assert {"outputs/go", "outputs/rank-1"} <= names(lab)
