"""The environment that the processes of a run begin with."""

from __future__ import annotations

import os
import re

# What would tell a process of this run that it is part of something else: another run, an MPI job, a
# cluster of the submitter's shell. A run's own values are put on top.
_FOREIGN = re.compile(
    r"^((SLURM_)?LAUNCHER_.*|CUDA_VISIBLE_DEVICES|TF_CONFIG|OMPI_.*|PMI_.*|PMIX_.*|PRTE_.*|HYDRA_.*|MPI_LOCAL.*|HOROVOD_.*"
    r"|RANK|WORLD_SIZE|LOCAL_RANK|LOCAL_WORLD_SIZE|GROUP_.*|NODE_RANK|MASTER_ADDR|MASTER_PORT|TORCHELASTIC_.*"
    r"|VIRTUAL_ENV|PYTHONHOME|PYTHONPATH|CONDA_PREFIX|CONDA_DEFAULT_ENV)$"
)

# Variables of the Slurm job that rank.sh restores for each rank: mpirun and its daemons run without them.
_GIVEN_BACK = ("SLURM_JOB_ID", "SLURM_JOB_NODELIST", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID")


def base_environment(path_prefix: str | None, slurm: bool = True) -> dict[str, str]:
    """Return this node's environment without what belongs to other jobs, `path_prefix` first on PATH.

    Args:
        path_prefix: the environment's programs.
        slurm: keep what Slurm tells of the job. mpirun would take it for its own and start by srun.
    """
    env = {name: value for name, value in os.environ.items() if not _FOREIGN.match(name)}
    if not slurm:
        given_back = {"LAUNCHER_" + name: env[name] for name in _GIVEN_BACK if name in env}
        env = {name: value for name, value in env.items() if not name.startswith("SLURM_")}
        env.update(given_back)
    if path_prefix:
        env["PATH"] = path_prefix + os.pathsep + env.get("PATH", os.defpath)
    return env
