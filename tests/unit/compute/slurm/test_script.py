"""The script of a Slurm job: its text, its shell, and how it is sent."""

from __future__ import annotations

import inspect
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from submitit import SlurmExecutor
from submitit.core.utils import FailedSubmissionError
from submitit.slurm import slurm as submitit_slurm

from launcher.agent.base.processes import handles
from launcher.compute import start_script
from launcher.compute.job_folders import write_script
from launcher.compute.scheduler import JobRequest
from launcher.compute.slurm import slurm_scheduler
from launcher.compute.slurm.script import parameters, render
from launcher.compute.slurm.target import Slurm
from launcher.compute.start_script import FAILED_SETUP, LOST_PYTHON, LOST_STORE
from launcher.errors import SubmitError
from tests.processes import wait_for

if TYPE_CHECKING:
    from tests.stand_ins import StandIns

GOLDEN = Path(__file__).parents[2] / "golden"
RESOURCES = {
    "nodes": 2, "processes_per_node": 4, "gpus_per_node": 4, "cpus_per_process": 6, "memory_gib": 32.5,
    "time_limit_min": 90.5,
}  # fmt: skip
BARE = {
    "nodes": 1, "processes_per_node": 1, "gpus_per_node": 0, "cpus_per_process": None, "memory_gib": None,
    "time_limit_min": None,
}  # fmt: skip
HOSTILE = [
    "it's", 'a "b"', "$(touch pwned)", "`touch pwned`", "a; touch pwned", "a && touch pwned", "$HOME", "a\\",
    "#x", "' $(touch pwned) '", '" $(touch pwned) "', "--wrap=touch pwned", "%j", "~", "*", "{a,b}", "=",
]  # fmt: skip


def spec(resources: dict[str, Any] | None = None, processes: int = 1, retries: int = 0) -> dict[str, Any]:
    plan = {"processes": [{"node": 0}] * processes}
    return {
        "id": "mnist/7",
        "name": "mnist",
        "retries": retries,
        "plan": plan,
        "resources": resources or BARE,
    }


def request(folder: str = "/store/job", members: int | None = None, **values: Any) -> JobRequest:
    agent = Path("/store/agents/c0de")
    return JobRequest(spec=spec(**values), folder=Path(folder), agent=agent, command="job", members=members)


def script(options: Slurm, folder: str = "/store/job", members: int | None = None, **values: Any) -> str:
    return render(options, request(folder, members, **values))


def submit(folder: Path, variables: dict[str, str] | None = None) -> str:
    path = write_script(folder, script(Slurm(), str(folder)))
    return Slurm().scheduler().submit(path, variables or {})


def flags(text: str) -> dict[str, str | None]:
    """Return the options as sbatch reads them: as a shell, but a backslash counts between quotes, too."""
    found: dict[str, str | None] = {}
    for line in text.splitlines():
        if line.startswith("#SBATCH "):
            [word] = shlex.split(line.removeprefix("#SBATCH "))
            name, equals, value = word.removeprefix("--").partition("=")
            found[name] = re.sub(r"\\(.)", r"\1", value) if equals else None
    return found


def test_the_script_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3.11")
    options = Slurm(
        partition="gpu", account="vision", gpu_type="a100", setup=["module load cuda/12"],
        teardown=["rm -rf /scratch/$SLURM_JOB_ID"],
        additional_parameters={"licenses": "matlab:2", "spread_job": True, "nice": None, "hold": False},
    )  # fmt: skip
    made = script(options, "/store/runs/mnist/7/job", resources=RESOURCES, processes=5, retries=2)
    assert made == (GOLDEN / "slurm_job.txt").read_text()


def test_the_script_of_an_array() -> None:
    options = Slurm(login_shell=False, max_parallel=3, python="python3")
    assert (
        script(options, "/store/sweeps/5eed/jobs/1", members=10) == (GOLDEN / "slurm_array.txt").read_text()
    )


def test_what_is_not_asked_for_is_left_to_the_site() -> None:
    found = flags(script(Slurm()))
    assert set(found) == {
        "chdir", "export", "job-name", "no-requeue", "nodes", "ntasks-per-node", "open-mode", "output",
        "signal",
    }  # fmt: skip
    assert (found["job-name"], found["export"], found["output"]) == ("mnist-7", "NIL", "/store/job/slurm.log")


def test_options_that_stand_for_others() -> None:
    options = Slurm(
        exclusive=True, reservation="r", gres="gpu:a100:2", mail_type="END", mail_user="me", grace_s=9
    )
    found = flags(script(options, "/50%off", resources={**RESOURCES, "time_limit_min": 0.2}))
    assert found["exclusive"] is None
    assert (found["reservation"], found["gres"], found["signal"], found["time"]) == (
        "r",
        "gpu:a100:2",
        "B:USR2@14",
        "1",
    )
    assert "gpus-per-node" not in found
    assert (found["mail-type"], found["mail-user"], found["mem"]) == ("END", "me", "33280M")
    assert (found["chdir"], found["output"]) == ("/50%off", "/50%%off/slurm.log")
    assert flags(script(Slurm(), members=5))["array"] == "0-4%5"


@pytest.mark.parametrize("text", HOSTILE)
def test_no_option_reaches_a_shell_unquoted(text: str) -> None:
    options = Slurm(
        partition=text, comment=text, constraint=text, additional_parameters={"licenses": text}, export=text
    )
    made = script(options, f"/store/{text}/job")
    found = flags(made)
    assert [found[name] for name in ("partition", "comment", "constraint", "licenses", "export")] == [
        text
    ] * 5
    assert found["chdir"] == f"/store/{text}/job"


@given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"))))
@settings(max_examples=50, deadline=None)
def test_any_text_of_one_line_is_one_option(text: str) -> None:
    assert flags(script(Slurm(comment=text)))["comment"] == text


_AGENT = """\
import os, signal, sys, time
out = os.open(os.environ["TOLD"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
def tell(line):  # not by print, which a signal must not call again while it writes
    os.write(out, line.encode() + b"\\n")
def told(number, frame):
    tell(signal.Signals(number).name)
    if number == signal.SIGTERM:
        time.sleep(0.2)
        sys.exit(7)
signal.signal(signal.SIGUSR2, told)
signal.signal(signal.SIGTERM, told)
with open(os.environ["TOLD"] + ".pid", "w") as file:
    file.write(str(os.getpid()))
tell(" ".join(sys.argv[1:]))
if "wait" not in sys.argv:
    sys.exit(5)
while True:
    time.sleep(0.1)  # Python may miss a signal that comes just before it sleeps
"""


class Running:
    """A job's script with an agent that stands in, below a folder with a hostile name."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.monkeypatch = monkeypatch
        self.agent = folder / 'it\'s "$(touch pwned)" `touch pwned`' / "agent"
        self.agent.mkdir(parents=True)
        (self.agent / "__main__.py").write_text(_AGENT)
        self.job = folder / "it's $(touch pwned)"
        self.job.mkdir()
        self.told = folder / "told"
        self.pid = folder / "told.pid"
        monkeypatch.setenv("TOLD", str(self.told))
        monkeypatch.chdir(folder)

    def start(
        self, command: str = "job", executable: str = "/no/such/python", **options: Any
    ) -> subprocess.Popen[str]:
        self.monkeypatch.setattr(sys, "executable", executable)
        asked = replace(request(str(self.job)), agent=self.agent, command=command)
        path = write_script(self.job, render(Slurm(login_shell=False, **options), asked))
        return subprocess.Popen([path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def until(self, line: str) -> None:
        wait_for(lambda: self.told.exists() and line in self.told.read_text().splitlines(), line)


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Running:
    return Running(tmp_path, monkeypatch)


@pytest.mark.parametrize("options", [{}, {"teardown": ["true", "false"]}])
def test_the_agent_is_started_and_its_exit_code_kept(running: Running, options: dict[str, Any]) -> None:
    process = running.start(**options)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 5
    assert running.told.read_text() == f"job {running.job}\n"
    assert not (running.folder / "pwned").exists()


def test_setup_and_teardown_are_lines_of_the_same_shell(running: Running) -> None:
    lines = ["NAME='of setup'", "if true; then", "  echo before", "fi"]
    process = running.start(setup=lines, teardown=['echo "after $NAME"', "exit 9"])
    assert process.communicate(timeout=60) == ("before\nafter of setup\n", "")
    assert process.returncode == 9


@pytest.mark.parametrize(
    ("lines", "failed"),
    [
        (["source /no/such/conda.sh", "echo next"], "source /no/such/conda.sh exited with 1"),
        (
            ["f() {", "  return 3", "}", "f 'it is' \"$HOME\"", "echo next"],
            "f 'it is' \"$HOME\" exited with 3",
        ),
        (["true \\", "  and more", "no-such-program", "echo next"], "no-such-program exited with 127"),
        (["false &&", "true", "echo next"], "true exited with 1"),
    ],
)
def test_a_setup_line_that_fails_ends_the_job(running: Running, lines: list[str], failed: str) -> None:
    process = running.start(setup=lines, teardown=["echo after"])
    out, said = process.communicate(timeout=60)
    assert (process.returncode, out) == (FAILED_SETUP, "")
    assert said.splitlines()[-1] == f"compute.setup: {failed}"
    assert not running.told.exists()


@pytest.mark.parametrize("teardown", [[], ["echo after"]])
def test_signals_pass_to_the_agent(running: Running, teardown: list[str]) -> None:
    process = running.start("job wait", teardown=teardown)
    running.until(f"job wait {running.job}")
    wait_for(lambda: handles(process.pid, signal.SIGUSR2), "a trap")
    for _ in range(2):
        process.send_signal(signal.SIGUSR2)
        running.until("SIGUSR2")
        running.told.write_text("")
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60) == ("after\n" if teardown else "", "")
    assert process.returncode == 7
    assert "SIGTERM" in running.told.read_text()


def test_a_job_whose_guard_was_killed_waits_for_a_successor(running: Running) -> None:
    process = running.start("job wait", teardown=["echo after"])
    running.until(f"job wait {running.job}")
    os.kill(int(running.pid.read_text()), signal.SIGKILL)
    running.until(f"successor job wait {running.job}")
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert (out, process.returncode) == ("after\n", 7)


def test_a_node_without_python(running: Running) -> None:
    process = running.start(python="it's $(touch pwned) `touch pwned`")
    said = process.communicate(timeout=60)[1]
    assert process.returncode == LOST_PYTHON
    assert said.endswith("has none of these: it's $(touch pwned) `touch pwned`\n")
    assert not (running.folder / "pwned").exists()


def test_a_node_that_does_not_see_the_store(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_script, "STORE_PATIENCE_S", 2)
    (running.agent / "__main__.py").unlink()
    began = time.monotonic()
    process = running.start()
    said = process.communicate(timeout=60)[1]
    assert (process.returncode, f"does not see {running.agent}" in said) == (LOST_STORE, True)
    assert time.monotonic() - began >= 1
    assert not (running.folder / "pwned").exists()


def test_submission(stand_ins: StandIns, tmp_path: Path) -> None:
    stand_ins.make("sbatch", says="Submitted batch job 123 on cluster x\n")
    path = write_script(tmp_path, "echo 'ä'\n")
    assert Slurm().scheduler().submit(path, {}) == "123"
    assert stand_ins.calls("sbatch") == [[str(tmp_path / "job.sh")]]
    assert path.read_text(encoding="utf-8") == "echo 'ä'\n"
    assert path.stat().st_mode & 0o777 == 0o700


def test_the_script_holds_any_path(stand_ins: StandIns, tmp_path: Path) -> None:
    stand_ins.make("sbatch", says="Submitted batch job 123\n")
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    assert submit(folder) == "123"
    assert b"/caf\xe9'\n" in (folder / "job.sh").read_bytes()


def test_secrets_are_in_the_environment_of_the_submission_alone(
    stand_ins: StandIns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_LAUNCHER_SECRET_OUTER", "of a job around")
    stand_ins.make("sbatch", f"env >{tmp_path}/env; echo Submitted batch job 5")
    assert submit(tmp_path, {"SLURM_LAUNCHER_SECRET_A": "hidden"}) == "5"
    told = [line for line in (tmp_path / "env").read_text().splitlines() if "SECRET" in line]
    assert told == ["SLURM_LAUNCHER_SECRET_A=hidden"]
    assert "hidden" not in (tmp_path / "job.sh").read_text()
    assert stand_ins.calls("sbatch") == [[str(tmp_path / "job.sh")]]


def test_a_controller_that_is_busy_is_asked_again(
    stand_ins: StandIns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm_scheduler, "TRIES_S", (0.0, 0.0))
    busy = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"
    once = f'[ -e "{tmp_path}/x" ] && echo "Submitted batch job 5" && exit; >"{tmp_path}/x"'
    stand_ins.make("sbatch", f'{once}; echo "{busy}" >&2; exit 1')
    assert submit(tmp_path) == "5"
    stand_ins.make("sbatch", f'echo "{busy}" >&2; exit 1')
    with pytest.raises(SubmitError, match="sbatch: Batch job submission failed: Socket timed out"):
        submit(tmp_path)
    assert len(stand_ins.calls("sbatch")) == 2 + 3


REFUSED = "Batch job submission failed: Invalid partition name specified"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (f"sbatch: error: no partition x\nsbatch: error: {REFUSED}", f"sbatch: no partition x; {REFUSED}"),
        ("odd words", "sbatch: odd words"),
    ],
)
def test_a_refusal_is_told_in_slurms_words(stand_ins: StandIns, tmp_path: Path, said: str, told: str) -> None:
    stand_ins.make("sbatch", f"echo {shlex.quote(said)} >&2; exit 1")
    with pytest.raises(SubmitError) as error:
        submit(tmp_path)
    assert str(error.value) == told
    assert len(stand_ins.calls("sbatch")) == 1


# --- what is used of submitit, which is private there --------------------------------------------------


def test_submitit_still_takes_what_it_is_given() -> None:
    make: Any = submitit_slurm._make_sbatch_string  # pyright: ignore[reportPrivateUsage]
    names = ("partition", "account", "qos", "constraint", "nodelist", "exclude", "dependency", "comment")
    texts: dict[str, Any] = dict.fromkeys((*names, "mail_type", "mail_user"), "x")
    options = Slurm(**texts)
    passed = {"command", "folder", *parameters(options, request(members=2, resources=RESOURCES))}
    assert passed <= set(inspect.signature(make).parameters)
    text = make(
        command="first\nsecond", folder="/f", nodes=2, use_srun=False, map_count=3, array_parallelism=2
    )
    lines = text.splitlines()
    assert lines[0] == "#!/bin/bash"
    assert "#SBATCH --nodes=2" in lines
    assert "#SBATCH --array=0-2%2" in lines
    assert lines[-3:] == ["export SUBMITIT_EXECUTOR=slurm", "first", "second"]
    more = {"time": 7, "x": "it's $(x)", "flag": True}
    text = make(command="c", folder="/f", additional_parameters=more, stderr_to_stdout=True)
    assert {"#SBATCH --time=7", "#SBATCH --x='it'\"'\"'s $(x)'", "#SBATCH --flag"} < set(text.splitlines())
    assert "--error" not in text


def test_submitit_still_reads_what_sbatch_says() -> None:
    read: Any = SlurmExecutor._get_job_id_from_submission_command  # pyright: ignore[reportPrivateUsage]
    assert read("Submitted batch job 17\n") == "17"
    assert read("sbatch: Warning: odd\nSubmitted batch job 18 on cluster c1\n") == "18"
    with pytest.raises(FailedSubmissionError):
        read("nothing of use")


@pytest.mark.parametrize(
    ("line", "words"), [("kill -9 $$", "it was killed by signal 9"), ("exit 3", "it exited with 3")]
)
def test_a_submission_that_fails_without_a_word(
    stand_ins: StandIns, tmp_path: Path, line: str, words: str
) -> None:
    stand_ins.make("sbatch", line)
    with pytest.raises(SubmitError, match=f"^sbatch: {words}$"):
        submit(tmp_path)
