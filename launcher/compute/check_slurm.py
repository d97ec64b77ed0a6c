"""`launcher compute check` for a Slurm cluster: what this host sees, then what a small job on nodes does."""

from __future__ import annotations

import getpass
import shutil
import sys
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING
from uuid import uuid4

from launcher.capabilities import BAD, OK, WARN, Row
from launcher.compute.check_nodes import node_rows
from launcher.compute.check_rows import background, output, writable
from launcher.compute.scheduler import JobState
from launcher.compute.scheduler_cache import read_limits
from launcher.compute.slurm.cluster_check import Asked, Survey, survey
from launcher.compute.slurm.slurm_scheduler import SlurmScheduler
from launcher.compute.slurm.slurm_tool import slurm_tool
from launcher.compute.start_script import LOST_PYTHON, LOST_STORE
from launcher.facts import Facts
from launcher.paths import cache_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from launcher.compute.slurm.options import SlurmOptions
    from launcher.facts import Cluster
    from launcher.spec import LaunchRequest

SHARED = "Choose a folder that nodes see as well: store=DIR, or LAUNCHER_STORE"


def rows(
    options: SlurmOptions, request: LaunchRequest, timeout_s: float, say: Callable[[str], None]
) -> Iterator[Row]:
    """Yield what works from here; a job is submitted only where nothing is bad before."""
    cluster = read_limits(SlurmScheduler(options))
    before = [
        *_tools(), *_options(request, cluster), *_partitions(options, cluster),
        writable("store", request.store, SHARED), background(),
    ]  # fmt: skip
    yield from before
    if cluster is None or any(row.level == BAD for row in before):
        yield Row("job", WARN, "none was submitted", "Mend what is bad, and check again")
        return
    yield from _job(request, options, cluster, timeout_s, say)


def _tools() -> Iterator[Row]:
    if find_spec("submitit") is None:
        yield Row("submitit", BAD, f"missing beside {sys.executable}", "pip install 'launcher[slurm]'")
    told = output("sbatch", "--version")
    if told is None:
        found = "it does not run" if shutil.which("sbatch") else "not on PATH"
        yield Row("sbatch", BAD, found, "Log in to a host of the cluster that jobs are submitted from")
        return
    yield Row("sbatch", OK, f"{shutil.which('sbatch')}, {told}")
    asked = slurm_tool(["squeue", "--noheader", f"--user={getpass.getuser()}"])
    if asked.returncode != 0:
        yield Row("scheduler", BAD, asked.stderr.strip() or "squeue does not answer", "scontrol ping")
        return
    told_of = slurm_tool(
        ["sacct", "--noheader", "--parsable2", "--allocations", "--format=JobID", "--starttime=now-1hours"]
    )
    if told_of.returncode == 0:
        yield Row("accounting", OK, "sacct answers")
    else:
        words = told_of.stderr.strip().splitlines()
        found = f"no sacct ({words[-1] if words else 'it fails'}); squeue and scontrol serve"
        step = "Watch runs, or look at them soon after their end: Slurm forgets jobs after MinJobAge"
        yield Row("accounting", WARN, found, step)


def _options(request: LaunchRequest, cluster: Cluster | None) -> Iterator[Row]:
    if cluster is None:
        return
    found = list(request.spec.compute.check(request.spec, Facts(cluster=cluster)))
    for problem in found:
        if problem.key != "compute":  # told by other rows
            yield Row("options", BAD, f"{problem.key}={problem.given}", f"Expected {problem.expected}")


def _partitions(options: SlurmOptions, cluster: Cluster | None) -> Iterator[Row]:
    if cluster is None:
        return
    if not cluster.partitions:
        yield Row("partitions", WARN, "sinfo tells of none", "sinfo")
    for name, part in cluster.partitions.items():
        if options.partition and name not in options.partition.split(","):
            continue
        limit = "no time limit" if part.time_limit_min is None else f"{part.time_limit_min:g} min"
        default = " (default)" if name == cluster.default_partition else ""
        size = f"{part.cpus} CPUs, {part.memory_mib / 1024:.4g} GiB, {part.gpus} GPUs"
        found = f"{name}{default}: up to {part.nodes} nodes with {size}; {limit}"
        yield Row("partition", OK, found)


def _job(
    request: LaunchRequest,
    options: SlurmOptions,
    cluster: Cluster,
    timeout_s: float,
    say: Callable[[str], None],
) -> Iterator[Row]:
    names = (options.partition or cluster.default_partition or "").split(",")
    most = max((cluster.partitions[name].nodes for name in names if name in cluster.partitions), default=2)
    wanted = request.spec.resources
    resources = replace(
        wanted, nodes=min(2, most), processes_per_node=1, cpus_per_process=None, memory_gib=wanted.memory_gib
    )
    mark = cache_root() / f".check-{uuid4().hex[:8]}"
    mark.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    mark.touch(0o600)
    mpirun = shutil.which("mpirun")
    paths = [str(mark), sys.executable, *([mpirun] if mpirun else [])]
    asked = Asked(
        options=options, resources=resources, store=request.store, paths=tuple(paths), timeout_s=timeout_s
    )
    try:
        found = survey(asked, say)
    finally:
        mark.unlink(missing_ok=True)
    if not found.answer:
        yield silent(found, request.store, timeout_s)
        return
    yield from node_rows(found, options, wanted.gpus_per_node, mark, mpirun)
    if not found.done:
        yield Row("job", BAD, f"job {found.job} began and did not end in {timeout_s:g} s", _log(found))


def silent(found: Survey, store: Path, timeout_s: float) -> Row:
    """Return why a job said nothing."""
    if found.job is None:
        return Row("job", BAD, found.problem, "Set what the site asks for, such as compute.account")
    job = found.last
    if job is None or job.state in {JobState.PENDING, JobState.STARTING}:
        reason = job.reason or job.word if job is not None else "Slurm has not listed it"
        text = f"job {found.job} still waits after {timeout_s:g} s: {reason}. It is canceled"
        return Row("job", WARN, text, f"Wait longer: --timeout {10 * timeout_s:g}; or another partition")
    code = job.exit_code
    text, step = f"ended as {job.word}, exit code {code}", _log(found)
    if code == LOST_STORE or job.state is JobState.NO_OUTPUT:
        text, step = f"does not see the store {store}", SHARED
    elif code == LOST_PYTHON:
        text, step = "has no Python for the agent", "Set compute.python, or load one in compute.setup"
    elif any("SyntaxError" in line for line in found.log):
        text, step = "has a Python that is older than 3.8", "Set compute.python"
    elif job.word == "RUNNING":
        text, step = f"runs, and in {timeout_s:g} s this host saw nothing of it in {store}", SHARED
    return Row("job", BAD, f"job {job.id} on {job.nodes} {text}", step)


def _log(found: Survey) -> str:
    return f"It printed: {found.log[-1]}" if found.log else "Look at compute.setup"
