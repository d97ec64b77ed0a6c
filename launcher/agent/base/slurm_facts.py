"""What both sides of a job of Slurm know: what its states mean, and how its agents are started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .failure_kinds import FailureKind

if TYPE_CHECKING:
    from collections.abc import Mapping

STATE_CAUSES: dict[str, tuple[FailureKind, str]] = {
    "TIMEOUT": (FailureKind.TIME_LIMIT, "Slurm's time limit was reached"),
    "DEADLINE": (FailureKind.TIME_LIMIT, "Slurm's deadline was reached"),
    "PREEMPTED": (FailureKind.PREEMPTED, "the job was preempted"),
    "NODE_FAIL": (FailureKind.NODE_FAIL, "a node of the job failed"),
    "BOOT_FAIL": (FailureKind.NODE_FAIL, "a node of the job did not start"),
    "REQUEUED": (FailureKind.REQUEUED, "the job was requeued"),
    "OUT_OF_MEMORY": (FailureKind.OUT_OF_MEMORY, "the job used more memory than it was given"),
    "CANCELLED": (FailureKind.CANCEL, "canceled by scancel"),
}
"""Kind and message of the cause, by the state in which Slurm ends a job."""


def agents_argv(options: Mapping[str, Any], nodes: int) -> list[str]:
    """Return the srun that starts one process on each of so many nodes after the first."""
    # The agents' step leaves the nodes free for steps that a user's own srun starts. A variable, because
    # Slurm before 20.11 refuses the option.
    argv = [
        "env",
        "SLURM_OVERLAP=1",
        "srun",
        "--nodes=%d" % nodes,
        "--ntasks=%d" % nodes,
        "--ntasks-per-node=1",
    ]
    argv += ["--relative=1", "--export=ALL", "--input=none", "--unbuffered", "--kill-on-bad-exit=0"]
    argv += ["--mpi=none", "--cpu-bind=none", "--mem=0", "--chdir=/", "--job-name=agents", "--quiet"]
    # Without --cpus-per-task a step may use all that the job has on a node, and is bound to none of it.
    return argv + [str(arg) for arg in options.get("srun_args") or ()]
