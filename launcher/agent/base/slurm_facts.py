"""What both sides of a job of Slurm know: what its states mean, and how its agents are started."""

from __future__ import annotations

from typing import Any

STATE_CAUSES = {
    "TIMEOUT": ("time_limit", "Slurm's time limit was reached"),
    "DEADLINE": ("time_limit", "Slurm's deadline was reached"),
    "PREEMPTED": ("preempted", "the job was preempted"),
    "NODE_FAIL": ("node_fail", "a node of the job failed"),
    "BOOT_FAIL": ("node_fail", "a node of the job did not start"),
    "REQUEUED": ("requeued", "the job was requeued"),
    "OUT_OF_MEMORY": ("out_of_memory", "the job used more memory than it was given"),
    "CANCELLED": ("cancel", "canceled by scancel"),
}
"""Kind and message of the cause, by the state in which Slurm ends a job."""


def agents_argv(options: dict[str, Any], nodes: int) -> list[str]:
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
