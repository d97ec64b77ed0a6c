"""A Slurm job as an agent's place. Slurm's programs are stood in for."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from launcher.agent.base import atomic_json
from launcher.agent.base.failure_kinds import FailureKind
from launcher.agent.base.network import interfaces
from launcher.agent.base.ports import PORTS, bind, read_ports
from launcher.agent.targets import slurm as module
from launcher.agent.targets import slurm_job
from launcher.agent.targets.decision import Action
from launcher.agent.targets.local import LocalTarget
from launcher.agent.targets.slurm import SlurmTarget, node_gpus
from launcher.agent.targets.slurm_job import SlurmJob, seconds

if TYPE_CHECKING:
    from launcher.agent.base.record_types import Cause
    from tests.stand_ins import StandIns

OPTIONS: dict[str, Any] = {
    "ports": "21000-21999",
    "signal": "USR1",
    "grace_s": 30,
    "interface": None,
    "srun_args": [],
}


class Over:
    """An attempt that is over."""

    def __init__(self, kind: str | None, outcome: str = "Failed") -> None:
        self.outcome = outcome
        self.cause = None if kind is None else {"kind": kind}
        self.number = 2
        self.queued = False

    def restate(self, outcome: str, kind: str, message: str) -> None:
        self.outcome, self.cause = outcome, {"kind": kind, "message": message}

    def queue(self) -> None:
        self.queued = True


class Job:
    """A job of a run, and what its scheduler does."""

    def __init__(
        self, folder: Path, stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch, **options: Any
    ) -> None:
        self.folder = folder
        self.stand_ins = stand_ins
        self._monkeypatch = monkeypatch
        self.limit: float | None = None
        self.options = {**OPTIONS, **options}
        self.variables(SLURM_JOB_ID="12")
        for name in ("scontrol", "sbatch", "sacct"):
            stand_ins.make(name, "echo nothing such >&2; exit 1")

    def variables(self, **env: str) -> None:
        for name in [name for name in os.environ if name.startswith(("SLURM_", "SBATCH_"))]:
            self._monkeypatch.delenv(name)
        for name, value in env.items():
            self._monkeypatch.setenv(name, value)

    def site(self) -> SlurmTarget:
        spec: Any = {"compute": self.options, "resources": {"time_limit_min": self.limit}}
        return SlurmTarget(spec, str(self.folder))

    def log(self, *lines: str) -> None:
        (self.folder / "slurm.log").write_text("".join(f"{line}\n" for line in lines))

    def after(self, over: Over, left: int = 1, *, asked: bool = False) -> str:
        """Do what a supervisor does after an attempt; return what becomes of the run."""
        target, cause = self.site(), over.cause
        decision = target.next_action(over.outcome, cast("Cause | None", cause), left, asked)
        if decision.cause is not None:
            over.restate(decision.outcome, *decision.cause)
        if decision.action in {Action.REQUEUE, Action.AWAIT}:
            over.queue()
        if decision.action is Action.REQUEUE:
            return "leave" if target.requeue(over.number, lambda: asked) else "conclude"
        return "leave" if decision.action is Action.AWAIT else decision.action.value


@pytest.fixture
def job(tmp_path: Path, stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch) -> Job:
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / "job.sh").write_text("#!/bin/sh\n")
    monkeypatch.setattr(slurm_job, "KILL_WAIT_S", 0)
    return Job(folder, stand_ins, monkeypatch)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("00:01:00", 60), ("1-02:30:05", 95405), ("UNLIMITED", float("inf")), ("Partition_Limit", None),
        ("", None),
    ],
)  # fmt: skip
def test_durations_of_slurm(text: str, expected: float | None) -> None:
    assert seconds(text) == expected


def told(limit: str, ran: str, more: str = "") -> str:
    return f"JobId=12 JobState=RUNNING Restarts=0 RunTime={ran} TimeLimit={limit} TimeMin=N/A {more}\n"


@pytest.mark.parametrize(
    ("answer", "more_s"),
    [
        (told("00:01:00", "00:00:12"), 0),
        (told("00:10:00", "00:00:12"), float("inf")),
        (told("UNLIMITED", "00:00:12"), float("inf")),
        ("", 0),  # Slurm does not answer
    ],
)
def test_a_limit_that_was_changed_is_slurms_to_keep(job: Job, answer: str, more_s: float) -> None:
    job.stand_ins.make("scontrol", says=answer)
    assert job.site().more_s(0.2) == more_s


def test_what_a_job_was_suspended_for_is_given_back_once(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    site = job.site()
    job.stand_ins.make("scontrol", says=told("00:01:00", "00:00:40"))
    now[0] += 60
    assert site.more_s(1) == 20
    now[0] += 20
    job.stand_ins.make("scontrol", says=told("00:01:00", "00:01:00"))
    assert site.more_s(1) == 0


@pytest.mark.parametrize(
    ("answer", "left_s"),
    [
        (told("00:01:00", "00:00:30"), 25),
        (told("00:01:00", "00:00:58"), 0),
        (told("01:00:00", "00:00:30"), float("inf")),
        (told("UNLIMITED", "00:00:30"), float("inf")),
        ("", 0),
    ],
)
def test_how_long_a_job_may_go_on_whose_end_was_announced(job: Job, answer: str, left_s: float) -> None:
    job.stand_ins.make("scontrol", says=answer)
    assert job.site().left_s() == left_s


@pytest.mark.parametrize(
    ("limit", "answer", "kind", "words"),
    [
        (1.0, told("00:01:00", "00:00:02"), "time_limit", "time_limit_min=1 was"),
        (60.0, told("00:01:00", "00:00:02"), "time_limit", "Slurm's time limit of 1 min was"),
        (None, told("00:01:00", "00:00:02"), "time_limit", "Slurm's time limit of 1 min was"),
        (1.0, told("01:00:00", "00:00:02"), "preempted", "Slurm announced"),
        (
            1.0,
            told("00:01:00", "00:00:02", "PreemptTime=2026-01-01T00:00:00"),
            "preempted",
            "Slurm announced",
        ),
        (1.0, "", "time_limit", "time_limit_min=1 was"),
        (None, "", "preempted", "Slurm announced"),
    ],
)
def test_an_announced_end_is_told_by_the_present_limit(
    job: Job, limit: float | None, answer: str, kind: str, words: str
) -> None:
    job.limit = limit
    job.stand_ins.make("scontrol", says=answer)
    found = job.site().warning()
    assert (found[0], found[2:]) == (kind, (signal.SIGUSR1, 30.0))
    assert found[1].startswith(words)


def test_a_job_that_was_requeued_already_is_not_requeued_again(job: Job) -> None:
    job.stand_ins.make("scontrol", says="JobId=12 JobState=COMPLETING Restarts=1\n")
    assert job.site().requeue_after_crash(0)
    assert job.stand_ins.calls("scontrol") == [["show", "job", "--oneliner", "12"]]
    job.variables(SLURM_JOB_ID="12", SLURM_RESTART_COUNT="1")
    job.stand_ins.make("scontrol", says="JobId=12 JobState=RUNNING Restarts=1\n")
    assert job.site().requeue_after_crash(1)
    assert job.stand_ins.calls("scontrol")[-1] == ["requeue", "12"]


def test_a_job_that_was_submitted_again_already_is_not_submitted_once_more(job: Job) -> None:
    atomic_json.write(str(job.folder / "id.2.json"), {"schema": 1, "id": "77"})
    assert job.site().requeue_after_crash(2)
    assert job.stand_ins.calls("sbatch") == []


def test_the_nodes_are_those_of_the_job(job: Job) -> None:
    job.variables(SLURM_JOB_ID="12", SLURM_JOB_NODELIST="n[1-3]", SLURMD_NODENAME="n1")
    job.stand_ins.make("scontrol", says="n1\nn2\nn3\n")
    site = job.site()
    assert (site.names(1), site.names(3)) == (["n1"], ["n1", "n2", "n3"])
    assert site.names(2) == ["n1", "n2"]
    assert job.stand_ins.calls("scontrol")[0] == ["show", "hostnames", "n[1-3]"]
    with pytest.raises(OSError, match=r"the job has 3 node\(s\) and the run needs 4"):
        site.names(4)
    assert (site.lead(1), site.lead(2)) == (LocalTarget().lead(1), None)
    assert site.ports == (21000, 22000)


def test_a_job_without_its_nodes_name(job: Job) -> None:
    assert job.site().names(1) == [os.uname().nodename]


def test_ports_of_a_spec() -> None:
    assert read_ports({"compute": {"ports": None}}) == read_ports({"compute": {}}) == PORTS
    assert read_ports({"compute": {"ports": "5000-5001"}}) == (5000, 5002)
    with bind("127.0.0.1", (20500, 20600)) as sock:
        assert 20500 <= sock.getsockname()[1] < 20600
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="no free port between"):
            bind("127.0.0.1", (port, port + 1))


@pytest.mark.parametrize(
    ("env", "gpus"),
    [({"CUDA_VISIBLE_DEVICES": "0,1"}, ["0", "1"]), ({"CUDA_VISIBLE_DEVICES": "NoDevFiles"}, []), ({}, []),
     ({"CUDA_VISIBLE_DEVICES": "", "ROCR_VISIBLE_DEVICES": "3"}, ["3"])],
)  # fmt: skip
def test_gpus_are_those_that_slurm_gave(job: Job, env: dict[str, str], gpus: list[str]) -> None:
    job.variables(**{"CUDA_VISIBLE_DEVICES": "", "SLURM_JOB_ID": "12", **env})
    assert node_gpus() == job.site().gpus() == gpus


def test_one_srun_starts_the_other_agents(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    job.options |= {"srun_args": ["--overlap", "--comment=it's"]}
    agent = job.folder / "it's an agent"
    agent.mkdir()
    (agent / "__main__.py").write_text(
        "import sys; print(sys.argv[1:], sys.flags.isolated, sys.flags.no_site)"
    )
    monkeypatch.setattr(sys, "argv", [str(agent)])
    monkeypatch.setattr(module, "candidates", {None: ["10.0.0.5", "10.1.0.5"]}.get)
    started: list[tuple[Any, ...]] = []

    class Noting:
        def start(self, *values: object) -> None:
            started.append(values)

    noting: Any = Noting()
    job.site().start_agents(noting, 3, "/run#0", "/run/attempts/0")
    [(nodes, argv, addresses, mark, log)] = started
    assert (nodes, addresses, mark) == ([1, 2], ["10.0.0.5", "10.1.0.5"], "/run#0")
    assert log == "/run/attempts/0/node-1.log"
    assert argv[:5] == ["env", "SLURM_OVERLAP=1", "srun", "--nodes=2", "--ntasks=2"]
    place = argv.index("--overlap")
    assert argv[place + 1] == "--comment=it's"
    done = subprocess.run(argv[place + 2 :], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "['node', 'slurm'] 1 1\n"


def test_attempts_are_claimed_and_superseded(job: Job, tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    site = job.site()
    assert [site.claim_attempt(run) for _ in range(3)] == [0, 1, 2]
    assert (site.is_superseded(run, 1), site.is_superseded(run, 2)) == (True, False)
    assert (LocalTarget().claim_attempt(run), LocalTarget().is_superseded(run, 0)) == (0, False)


LINE = "slurmstepd: error: *** JOB 12 ON n1 CANCELLED AT 2026-01-02T03:04:05"


@pytest.mark.parametrize(
    ("line", "state"),
    [
        (f"{LINE} DUE TO TIME LIMIT ***", "TIMEOUT"),
        (f"{LINE} DUE TO PREEMPTION ***", "PREEMPTED"),
        (f"{LINE} DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS ***", "NODE_FAIL"),
        (f"{LINE} DUE TO JOB REQUEUE ***", "REQUEUED"),
        (f"{LINE} ***", "CANCELLED"),
        (f"{LINE} DUE TO SOMETHING NEW ***", "CANCELLED"),
        (LINE.replace("12", "123"), "COMPLETING"),  # another member's
        ("cannot be told", "COMPLETING"),
    ],
)
def test_why_slurm_ends_the_job_is_in_its_log(job: Job, line: str, state: str) -> None:
    job.stand_ins.make("sacct", says="COMPLETING\n")
    job.log("first", line, "something that the agent said")
    assert SlurmJob(str(job.folder), alone=False).state() == state


def test_where_the_log_is_silent_accounting_tells(job: Job) -> None:
    job.variables(SLURM_JOB_ID="12", SLURM_ARRAY_JOB_ID="10", SLURM_ARRAY_TASK_ID="3")
    job.stand_ins.make("sacct", says="CANCELLED by 1000\n")
    made = SlurmJob(str(job.folder), alone=False)
    assert (made.id, made.state()) == ("10_3", "CANCELLED")
    assert job.stand_ins.calls("sacct")[0][-2:] == ["--jobs", "10_3"]
    job.stand_ins.make("sacct", "exit 1")
    assert made.state() == ""


def test_the_newest_word_of_the_log_counts(job: Job) -> None:
    job.log(f"{LINE} DUE TO JOB REQUEUE ***", f"{LINE} DUE TO TIME LIMIT ***")
    assert SlurmJob(str(job.folder), alone=False).state() == "TIMEOUT"


def test_a_warning_near_the_limit_is_of_the_limit(job: Job) -> None:
    job.limit = 2
    kind, message, signum, grace_s = job.site().warning()
    assert (kind, signum, grace_s) == ("time_limit", signal.SIGUSR1, 30.0)
    assert "time_limit_min=2" in message
    job.limit = 60
    assert job.site().warning()[0] == "preempted"
    job.limit = None
    assert job.site().warning()[0] == "preempted"
    assert LocalTarget().warning()[0] == "ended"


@pytest.mark.parametrize(
    ("over", "left", "follows"),
    [
        (Over(None, "Completed"), 1, "conclude"),
        (Over("cancel", "Canceled"), 1, "conclude"),
        (Over("superseded"), 1, "leave"),
        (Over("exit"), 1, "retry"),
        (Over("exit"), 0, "conclude"),
        (Over("out_of_memory"), 1, "retry"),
        (Over("start"), 3, "conclude"),
        (Over("agent_lost"), 0, "conclude"),
    ],
)
def test_what_follows_an_attempt_by_itself(job: Job, over: Over, left: int, follows: str) -> None:
    assert job.after(over, left) == follows
    assert not over.queued
    assert job.stand_ins.calls("scontrol") == job.stand_ins.calls("sbatch") == []


@pytest.mark.parametrize("kind", ["agent_lost", "time_limit", "preempted"])
def test_what_this_job_cannot_try_again_is_requeued(job: Job, kind: str) -> None:
    job.stand_ins.make("scontrol")
    over = Over(kind)
    assert (job.after(over), over.queued) == ("leave", True)
    assert job.stand_ins.calls("scontrol") == [["requeue", "12"]]
    assert job.stand_ins.calls("sbatch") == []


def test_where_a_requeue_is_refused_the_script_is_submitted_again(job: Job) -> None:
    job.stand_ins.make("sbatch", says="77;cluster\n")
    over = Over("agent_lost")
    assert (job.after(over), over.queued) == ("leave", True)
    assert job.stand_ins.calls("sbatch") == [["--parsable", str(job.folder / "job.sh")]]
    assert atomic_json.read(str(job.folder / "id.2.json")) == {"schema": 1, "id": "77"}


def test_a_submission_again_gets_the_secrets_of_this_jobs_environment_alone(job: Job, tmp_path: Path) -> None:
    carriers = {"SLURM_LAUNCHER_SECRET_A": "a"}
    job.variables(
        SLURM_JOB_ID="12", SLURM_CONF="/etc/conf", SLURM_MEM_PER_NODE="5", SBATCH_QOS="x", **carriers
    )
    job.stand_ins.make("sbatch", f"env >{tmp_path}/env", says="77\n")
    assert job.site().requeue_after_crash(4)
    env = (tmp_path / "env").read_text().splitlines()
    told = [line for line in env if line.startswith(("SLURM_", "SBATCH_"))]
    assert sorted(told) == ["SLURM_CONF=/etc/conf", "SLURM_LAUNCHER_SECRET_A=a"]
    assert (job.folder / "id.4.json").exists()
    assert not LocalTarget().requeue_after_crash(4)


@pytest.mark.parametrize(("limit", "more"), [(None, []), (2, ["--dependency=singleton"])])
def test_a_member_of_an_array_is_submitted_again_alone(job: Job, limit: int | None, more: list[str]) -> None:
    """Where only so many may run at once, it is the last of its name."""
    job.options["max_parallel"] = limit
    job.variables(SLURM_JOB_ID="15", SLURM_ARRAY_JOB_ID="12", SLURM_ARRAY_TASK_ID="3")
    job.stand_ins.make("sbatch", says="77\n")
    assert job.after(Over("time_limit")) == "leave"
    assert job.stand_ins.calls("scontrol") == [["requeue", "12_3"]]
    assert job.stand_ins.calls("sbatch") == [["--parsable", "--array=3", *more, str(job.folder / "job.sh")]]
    assert atomic_json.read(str(job.folder / "id.3.2.json")) == {"schema": 1, "id": "77"}


@pytest.mark.parametrize("answer", ["echo partition is down >&2; exit 1", "echo odd"])
def test_what_cannot_even_be_submitted_again_ends(
    job: Job, capfd: pytest.CaptureFixture[str], answer: str
) -> None:
    job.stand_ins.make("sbatch", answer)
    assert job.after(Over("agent_lost")) == "conclude"
    said = "partition is down" if "down" in answer else "odd"
    assert f"neither requeued nor submitted again: {said}" in capfd.readouterr().err


def test_programs_that_are_not_there(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(job.folder))
    assert SlurmJob(str(job.folder), alone=False).state() == ""
    assert job.after(Over("agent_lost")) == "conclude"


def test_scancel_is_a_cancellation(job: Job) -> None:
    job.log(f"{LINE} ***")
    over = Over("signal")
    assert job.after(over, asked=True) == "conclude"
    assert (over.outcome, over.cause) == ("Canceled", {"kind": "cancel", "message": "canceled by scancel"})
    assert not over.queued


@pytest.mark.parametrize(
    ("words", "kind"),
    [("TIME LIMIT", "time_limit"), ("PREEMPTION", "preempted"), ("NODE FAILURE", "node_fail"),
     ("JOB REQUEUE", "requeued")],
)  # fmt: skip
def test_slurms_reason_becomes_the_cause(job: Job, words: str, kind: str) -> None:
    job.log(f"{LINE} DUE TO {words} ***")
    job.stand_ins.make("scontrol")
    over = Over("signal")
    assert job.after(over, asked=True) == "leave"
    assert (over.outcome, (over.cause or {})["kind"], over.queued) == ("Failed", kind, True)
    by_itself = [] if kind != "time_limit" else [["requeue", "12"]]
    assert job.stand_ins.calls("scontrol") == by_itself
    last = Over("signal")
    assert job.after(last, left=0, asked=True) == "conclude"
    assert ((last.cause or {})["kind"], last.queued) == (kind, False)


def test_an_end_for_no_known_reason(job: Job) -> None:
    job.stand_ins.make("scontrol")
    over = Over("signal")
    assert job.after(over, asked=True) == "leave"
    assert over.cause == {
        "kind": "ended",
        "message": "the job was asked to end (SIGTERM), Slurm says nothing",
    }
    warned = Over("preempted")
    assert job.after(warned, asked=True) == "leave"
    assert warned.cause == {"kind": "preempted"}


def test_a_failure_waits_a_moment_for_slurms_word(job: Job) -> None:
    waits = {kind: job.site().patience_s({"kind": kind, "message": ""}) for kind in FailureKind}
    unclear = {FailureKind.SIGNAL, FailureKind.AGENT_LOST, FailureKind.ENDED}
    assert {kind for kind, patience_s in waits.items() if patience_s > 0} == unclear
    assert LocalTarget().patience_s({"kind": FailureKind.SIGNAL, "message": ""}) == 0


@pytest.mark.skipif(not interfaces(), reason="no network interface")
def test_agent_0_listens_on_the_interface_that_is_named(job: Job) -> None:
    one = interfaces()[0]
    for named, address in ((one.name, one.address), (None, "0.0.0.0")):  # noqa: S104  # what it binds
        job.options["interface"] = named
        with job.site().listen() as listener:
            assert listener.getsockname()[0] == address
