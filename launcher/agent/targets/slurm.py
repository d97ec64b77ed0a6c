"""A Slurm job as the place of a run: its nodes, how agents get there, and its word on why it ends."""

from __future__ import annotations

import math
import os
import re
import signal
import sys
import time
from typing import TYPE_CHECKING

from ..base import atomic_json
from ..base.failure_kinds import FailureKind
from ..base.guard import unguarded
from ..base.network import Interface, candidates
from ..base.ports import bind, read_ports
from ..base.secret_env import carriers
from ..base.slurm_facts import STATE_CAUSES, agents_argv
from ..base.tail import tail, tail_lines
from ..base.tools import failure, output, refusal, run_tool
from .local import LocalTarget
from .slurm_job import JobTime, job_fields, job_time

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from ..net.peers import Peers
    from ..record_types import Spec
    from ..run.attempt import Attempt

PATIENCE_S = 1.5
"""Slurm's SIGTERM reaches the script and its agent at once: a failure waits so long for its reason."""

COARSE_S = 90.0
"""Slurm's clock is coarse: the announcement comes up to a minute early (sbatch(1), --signal)."""

_CLOCK_S = 5.0
"""Between this process's beginning and its job's, by clocks that count seconds."""

_MARGIN_S = 5.0
"""Before Slurm ends the job itself."""

KILL_WAIT_S = 120.0
"""For Slurm to kill the job that asked to be requeued."""

_WORD = "launcher: "
"""What a node's own words begin with."""

# On every other node: `sh -c … sh PYTHON AGENT ARGUMENTS`. A folder that is listed is there, and only a stale
# cache of this node says otherwise.
_SEES = """\
unset SLURM_OVERLAP
python=$1 agent=$2 tries=0
until [ -r "$agent/__main__.py" ]; do
    tries=$((tries + 1))
    if [ $tries -ge 60 ] ||
        { [ $tries -ge 10 ] && ! ls -a "${agent%%/*}" 2>/dev/null | grep -qxF "${agent##*/}"; }; then
        echo "%(word)s$(uname -n) does not see $agent"
        exit 71
    fi
    sleep 1
done
command -v "$python" >/dev/null || { echo "%(word)s$(uname -n) does not see $python"; exit 72; }
shift 2
exec "$python" -I -S "$agent" "$@"
""" % {"word": _WORD}

_WORDS = (
    ("TIME LIMIT", "TIMEOUT"),
    ("PREEMPTION", "PREEMPTED"),
    ("NODE FAILURE", "NODE_FAIL"),
    ("JOB REQUEUE", "REQUEUED"),
)

_BY_ITSELF = {"PREEMPTED", "NODE_FAIL", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "PENDING"}
"""States after which Slurm requeues by itself a job that may be requeued."""


class SlurmTarget(LocalTarget):
    """The job that this process runs in."""

    remote_nodes = True
    grace_s = 20.0  # of the 30 s that Slurm gives by default (KillWait)

    def __init__(self, spec: Spec, folder: str) -> None:
        """Read the job from the environment.

        Args:
            spec: of the run.
            folder: where the job was submitted from, with its script.
        """
        self.ports = read_ports(spec)
        self._options = spec["compute"]
        self._folder = folder
        self._began = time.monotonic()
        self._limit: float | None = spec["resources"]["time_limit_min"]
        self._announced_s = float(self._options["grace_s"]) + COARSE_S  # before its end at the earliest
        self._idle_s = 0.0  # in suspension, as far as it was given back
        self._index = os.environ.get("SLURM_ARRAY_TASK_ID")
        self._log = "slurm.log" if self._index is None else "slurm-%s.log" % self._index
        array = os.environ.get("SLURM_ARRAY_JOB_ID")
        self.job = "%s_%s" % (array, self._index) if array else os.environ["SLURM_JOB_ID"]

    def names(self, size: int) -> list[str]:
        """See `LocalTarget.names`. The script of a job runs on the first of them."""
        if size == 1:
            return [os.environ.get("SLURMD_NODENAME") or os.uname().nodename]
        names = output(["scontrol", "show", "hostnames", os.environ["SLURM_JOB_NODELIST"]]).split()
        if len(names) < size:
            raise OSError("the job has %d node(s) and the run needs %d" % (len(names), size))
        return names[:size]

    def lead(self, size: int) -> Interface | None:
        """See `LocalTarget.lead`. Of several addresses the one is right that another node came by."""
        return super().lead(size) if size == 1 else None

    def listen(self) -> socket.socket:
        """See `LocalTarget.listen`; on all interfaces unless one is named: any may lead to the others."""
        named = self._options.get("interface")
        return bind(candidates(named)[0] if named else "", self.ports)

    def gpus(self) -> list[str] | None:
        """See `LocalTarget.gpus`. Slurm has numbered them as the processes of this node see them."""
        return node_gpus()

    def start_agents(self, peers: Peers, size: int, mark: str, folder: str) -> None:
        """See `LocalTarget.start_agents`. One srun starts them all, beside this script."""
        addresses = candidates(self._options.get("interface"))
        argv = [*agents_argv(self._options, size - 1), "sh", "-c", _SEES, "sh", sys.executable, sys.argv[0]]
        argv += ["node", "slurm"]
        peers.start(list(range(1, size)), argv, addresses, mark, os.path.join(folder, "node-1.log"))

    def complaint(self, folder: str) -> str | None:
        """See `LocalTarget.complaint`: srun passes on what a node says in place of its agent."""
        lines = tail_lines(os.path.join(folder, "node-1.log"))
        return next((line[len(_WORD) :] for line in lines if line.startswith(_WORD)), None)

    def claim(self, run: str) -> int:
        """See `LocalTarget.claim`. Making its folder takes a number, even if their listing is stale."""
        number = 0
        while True:
            try:
                os.makedirs(os.path.join(run, "attempts", str(number)))
            except FileExistsError:
                number += 1
            else:
                return number

    def begins(self, run: str, number: int) -> bool:
        """See `LocalTarget.begins`: whoever makes its folder."""
        try:
            os.mkdir(os.path.join(run, "attempts", str(number)))
        except FileExistsError:
            return False
        except OSError:
            pass  # a full disk: the attempt tells it as it starts
        return True

    def superseded(self, run: str, number: int) -> bool:
        """See `LocalTarget.superseded`: Slurm took this node for lost and started the job again."""
        return os.path.isdir(os.path.join(run, "attempts", str(number + 1)))

    def more_s(self, limit_min: float) -> float:
        """See `LocalTarget.more_s`. Slurm keeps a limit that was changed; suspension does not count."""
        time_ = job_time(self.job)
        if time_ is None:
            return 0.0
        if time_.limit_s != 60 * math.ceil(limit_min):
            return math.inf
        idle_s = time.monotonic() - self._began - time_.ran_s
        more_s = idle_s - self._idle_s
        if more_s <= _CLOCK_S:
            return 0.0
        self._idle_s = idle_s
        return more_s

    def left_s(self) -> float:
        """See `LocalTarget.left_s`."""
        time_ = job_time(self.job)
        left_s = 0.0 if time_ is None else time_.limit_s - time_.ran_s - _MARGIN_S
        return math.inf if left_s > self._announced_s else max(0.0, left_s)

    def warning(self) -> tuple[FailureKind, str, int, float]:
        """See `LocalTarget.warning`. Slurm tells by the same signal of its time limit and of a preemption."""
        number = int(getattr(signal, "SIG" + str(self._options["signal"])))
        grace_s = float(self._options["grace_s"])
        limit_s = 60.0 * math.ceil(self._limit) if self._limit else math.inf
        time_ = job_time(self.job) or JobTime(limit_s, time.monotonic() - self._began, preempted=False)
        if time_.limit_s - time_.ran_s < self._announced_s and not time_.preempted:
            words = "Slurm's time limit of %g min" % (time_.limit_s / 60)
            if self._limit and time_.limit_s == limit_s:
                words = "time_limit_min=%g" % self._limit
            return FailureKind.TIME_LIMIT, "%s was about to be reached" % words, number, grace_s
        return FailureKind.PREEMPTED, "Slurm announced the end of the job (SIGUSR2)", number, grace_s

    def exit_code(self, failed: int) -> int:
        """See `LocalTarget.exit_code`: `sacct` and `--dependency=afterok` go by it."""
        return int(failed > 0)

    def rescue(self, number: int) -> bool:
        """See `LocalTarget.rescue`. Who was killed may have seen to it."""
        began = int(os.environ.get("SLURM_RESTART_COUNT") or 0)
        if int(job_fields(self.job).get("Restarts") or 0) > began or os.path.exists(self._id_file(number)):
            return True
        signals: list[int] = []
        before = signal.signal(signal.SIGTERM, lambda signum, _frame: signals.append(signum))
        try:
            return self._restart(number, lambda: bool(signals))
        finally:
            signal.signal(signal.SIGTERM, before)

    def after(self, attempt: Attempt, left: int, asked: Callable[[], bool]) -> str:
        """See `LocalTarget.after`."""
        if attempt.outcome != "Failed" or attempt.cause is None:
            return "conclude"
        kind = attempt.cause["kind"]
        if kind == FailureKind.SUPERSEDED:
            return "leave"
        unclear = kind in {FailureKind.SIGNAL, FailureKind.AGENT_LOST, FailureKind.ENDED}
        until = time.monotonic() + (PATIENCE_S if unclear else 0)
        while not asked() and time.monotonic() < until:
            time.sleep(0.05)
        if asked():
            return self._asked(attempt, left, asked)
        if left <= 0 or kind in {FailureKind.START, FailureKind.ENVIRONMENT}:
            return "conclude"
        if kind in {FailureKind.AGENT_LOST, FailureKind.TIME_LIMIT, FailureKind.PREEMPTED}:
            return self._again(attempt, asked)
        return "retry"

    def _asked(self, attempt: Attempt, left: int, asked: Callable[[], bool]) -> str:
        """Find out why Slurm, or somebody, ends this job."""
        state = self.state()
        if state == "CANCELLED":
            attempt.restate("Canceled", *STATE_CAUSES[state])
            return "conclude"
        if state in STATE_CAUSES:
            attempt.restate("Failed", *STATE_CAUSES[state])
        elif (
            not unguarded()
            and attempt.cause is not None
            and attempt.cause["kind"] not in {FailureKind.TIME_LIMIT, FailureKind.PREEMPTED}
        ):
            message = "the job was asked to end (SIGTERM), Slurm says %s" % (state or "nothing")
            attempt.restate("Failed", FailureKind.ENDED, message)
        if left <= 0:
            return "conclude"
        if state in _BY_ITSELF:
            attempt.queue()
            return "leave"
        return self._again(attempt, asked)

    def _again(self, attempt: Attempt, asked: Callable[[], bool]) -> str:
        attempt.queue()
        return "leave" if self._restart(attempt.number, asked) else "conclude"

    def _restart(self, number: int, asked: Callable[[], bool]) -> bool:
        """Have the job requeued, or submit it once more where that is refused."""
        refused = refusal(["scontrol", "requeue", self.job])
        if refused is None:
            until = time.monotonic() + KILL_WAIT_S
            while time.monotonic() < until and not asked():
                time.sleep(0.2)  # Slurm asks this process to end, and kills it after KillWait
            return True
        refused = self._submit_again(number)
        if refused is not None:
            atomic_json.complain("neither requeued nor submitted again: %s" % refused)
        return refused is None

    def _submit_again(self, number: int) -> str | None:
        """Submit the job's script once more; return why that was refused, None where it was not."""
        argv = ["sbatch", "--parsable"]
        if self._index is not None:
            argv.append("--array=%s" % self._index)
            if self._options.get("max_parallel"):  # it is the last one: of two arrays too many could run
                argv.append("--dependency=singleton")
        argv.append(os.path.join(self._folder, "job.sh"))
        done = run_tool(argv, clean=True, more=carriers(os.environ))
        told = done.stdout.strip().split(";")[0]
        if done.returncode != 0 or not told.isdigit():
            return failure(done)
        atomic_json.create(self._id_file(number), {"schema": atomic_json.SCHEMA, "id": told})
        return None

    def _id_file(self, number: int) -> str:
        """Return where the id of the job is recorded that comes after an attempt, where it is another one."""
        middle = "" if self._index is None else "%s." % self._index
        return os.path.join(self._folder, "id.%s%d.json" % (middle, number))

    def state(self) -> str:
        """Return why Slurm ends this job, as one of its states; empty where it does not tell.

        `scontrol` says only COMPLETING by then, but the step's daemon has left a line in the job's log.
        """
        pattern = (
            r"\*\*\* JOB %s ON \S+ CANCELLED AT [\d:T-]+(?: DUE TO ([A-Z ]+))?" % os.environ["SLURM_JOB_ID"]
        )
        told = re.findall(pattern, tail(os.path.join(self._folder, self._log)))
        if told:
            return next((state for words, state in _WORDS if told[-1].startswith(words)), "CANCELLED")
        listed = output(
            ["sacct", "--noheader", "--parsable2", "--allocations", "--format=State", "--jobs", self.job]
        )
        return (listed.split() or [""])[0]


def node_gpus() -> list[str]:
    """Return the GPUs that Slurm gave this job on this node."""
    for name in ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"):
        listed = [gpu for gpu in os.environ.get(name, "").split(",") if gpu and gpu != "NoDevFiles"]
        if listed:
            return listed
    return []
