"""A Slurm job as the place of a run: its nodes, how agents get there, and its word on why it ends."""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from ..base.failure_kinds import FailureKind
from ..base.guard import unguarded
from ..base.network import Interface, candidates
from ..base.ports import bind, read_ports
from ..base.slurm_facts import STATE_CAUSES, agents_argv
from ..base.tail import tail_lines
from ..base.tools import output
from .decision import Action, Decision
from .local import LocalTarget
from .slurm_job import JobTime, SlurmJob

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from ..base.record_types import Cause, Spec
    from ..net.peers import Peers

PATIENCE_S = 1.5
"""Slurm's SIGTERM reaches the script and its agent at once: a failure waits so long for its reason."""

COARSE_S = 90.0
"""Slurm's clock is coarse: the announcement comes up to a minute early (sbatch(1), --signal)."""

_CLOCK_S = 5.0
"""Between this process's beginning and its job's, by clocks that count seconds."""

_MARGIN_S = 5.0
"""Before Slurm ends the job itself."""

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

_BY_ITSELF = {"PREEMPTED", "NODE_FAIL", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "PENDING"}
"""States after which Slurm requeues by itself a job that may be requeued."""

_UNCLEAR = {FailureKind.SIGNAL, FailureKind.AGENT_LOST, FailureKind.ENDED}
"""Failures whose reason Slurm may be about to tell."""


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
        self._began = time.monotonic()
        self._limit: float | None = spec["resources"]["time_limit_min"]
        self._announced_s = float(self._options["grace_s"]) + COARSE_S  # before its end at the earliest
        self._idle_s = 0.0  # in suspension, as far as it was given back
        self._job = SlurmJob(folder, alone=bool(self._options.get("max_parallel")))

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

    def startup_error(self, folder: str) -> str | None:
        """See `LocalTarget.startup_error`: srun passes on what a node says in place of its agent."""
        lines = tail_lines(os.path.join(folder, "node-1.log"))
        return next((line[len(_WORD) :] for line in lines if line.startswith(_WORD)), None)

    def claim_attempt(self, run: str) -> int:
        """See `LocalTarget.claim_attempt`. Making its folder takes a number, also if a listing is stale."""
        number = 0
        while True:
            try:
                os.makedirs(os.path.join(run, "attempts", str(number)))
            except FileExistsError:
                number += 1
            else:
                return number

    def try_claim_attempt(self, run: str, number: int) -> bool:
        """See `LocalTarget.try_claim_attempt`: whoever makes its folder."""
        try:
            os.mkdir(os.path.join(run, "attempts", str(number)))
        except FileExistsError:
            return False
        except OSError:
            pass  # a full disk: the attempt tells it as it starts
        return True

    def is_superseded(self, run: str, number: int) -> bool:
        """See `LocalTarget.is_superseded`: Slurm took this node for lost and started the job again."""
        return os.path.isdir(os.path.join(run, "attempts", str(number + 1)))

    def more_s(self, limit_min: float) -> float:
        """See `LocalTarget.more_s`. Slurm keeps a limit that was changed; suspension does not count."""
        time_ = self._job.time()
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
        time_ = self._job.time()
        left_s = 0.0 if time_ is None else time_.limit_s - time_.ran_s - _MARGIN_S
        return math.inf if left_s > self._announced_s else max(0.0, left_s)

    def warning(self) -> tuple[FailureKind, str, int, float]:
        """See `LocalTarget.warning`. Slurm tells by the same signal of its time limit and of a preemption."""
        number = int(getattr(signal, "SIG" + str(self._options["signal"])))
        grace_s = float(self._options["grace_s"])
        limit_s = 60.0 * math.ceil(self._limit) if self._limit else math.inf
        time_ = self._job.time() or JobTime(limit_s, time.monotonic() - self._began, preempted=False)
        if time_.limit_s - time_.ran_s < self._announced_s and not time_.preempted:
            words = "Slurm's time limit of %g min" % (time_.limit_s / 60)
            if self._limit and time_.limit_s == limit_s:
                words = "time_limit_min=%g" % self._limit
            return FailureKind.TIME_LIMIT, "%s was about to be reached" % words, number, grace_s
        return FailureKind.PREEMPTED, "Slurm announced the end of the job (SIGUSR2)", number, grace_s

    def exit_code(self, failed: int) -> int:
        """See `LocalTarget.exit_code`: `sacct` and `--dependency=afterok` go by it."""
        return int(failed > 0)

    def requeue_after_crash(self, number: int) -> bool:
        """See `LocalTarget.requeue_after_crash`. The process that crashed may have seen to it."""
        if self._job.is_requeued(number):
            return True
        signals: list[int] = []
        before = signal.signal(signal.SIGTERM, lambda signum, _frame: signals.append(signum))
        try:
            return self._job.requeue(number, lambda: bool(signals))
        finally:
            signal.signal(signal.SIGTERM, before)

    def patience_s(self, cause: Cause | None) -> float:
        """See `LocalTarget.patience_s`."""
        return PATIENCE_S if cause is not None and cause["kind"] in _UNCLEAR else 0.0

    def next_action(self, outcome: str, cause: Cause | None, left: int, asked: bool) -> Decision:
        """See `LocalTarget.next_action`."""
        if outcome != "Failed" or cause is None:
            return Decision(Action.CONCLUDE, outcome)
        kind = cause["kind"]
        if kind == FailureKind.SUPERSEDED:
            return Decision(Action.LEAVE)
        if asked:
            return decide_on_end(kind, left, self._job.state(), unguarded())
        if left <= 0 or kind in {FailureKind.START, FailureKind.ENVIRONMENT}:
            return Decision(Action.CONCLUDE)
        if kind in {FailureKind.AGENT_LOST, FailureKind.TIME_LIMIT, FailureKind.PREEMPTED}:
            return Decision(Action.REQUEUE)
        return Decision(Action.RETRY)

    def requeue(self, number: int, asked: Callable[[], bool]) -> bool:
        """See `LocalTarget.requeue`."""
        return self._job.requeue(number, asked)


def decide_on_end(kind: FailureKind, left: int, state: str, unguarded: bool) -> Decision:
    """Return what follows an attempt whose job Slurm, or somebody, asked to end.

    Args:
        kind: of the failure, as the attempt has it.
        left: retries that are left.
        state: of the job, empty where Slurm does not tell.
        unguarded: whether the guard of this process was killed, which is a reason of its own.
    """
    if state == "CANCELLED":
        return Decision(Action.CONCLUDE, "Canceled", STATE_CAUSES[state])
    cause = STATE_CAUSES.get(state)
    if cause is None and not unguarded and kind not in {FailureKind.TIME_LIMIT, FailureKind.PREEMPTED}:
        message = "the job was asked to end (SIGTERM), Slurm says %s" % (state or "nothing")
        cause = FailureKind.ENDED, message
    if left <= 0:
        return Decision(Action.CONCLUDE, cause=cause)
    return Decision(Action.AWAIT if state in _BY_ITSELF else Action.REQUEUE, cause=cause)


def node_gpus() -> list[str]:
    """Return the GPUs that Slurm gave this job on this node."""
    for name in ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"):
        listed = [gpu for gpu in os.environ.get(name, "").split(",") if gpu and gpu != "NoDevFiles"]
        if listed:
            return listed
    return []
