"""What a Slurm cluster cannot do for a spec, told before sbatch is asked."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import TYPE_CHECKING

from launcher.compute.containers import check_container
from launcher.errors import Problem, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.compute.slurm.options import SlurmOptions
    from launcher.facts import Cluster, Facts
    from launcher.spec import RunSpec

LOWEST_PORT, HIGHEST_PORT = 1024, 65535
PORTS = re.compile(r"(\d{1,5})-(\d{1,5})")


def port_range(text: str) -> tuple[int, int] | None:
    """Return the first and last port of an option that may be wrong; None where it is."""
    found = PORTS.fullmatch(text)
    ports = (int(found[1]), int(found[2])) if found else (0, 0)
    return ports if LOWEST_PORT <= ports[0] < ports[1] <= HIGHEST_PORT else None


def check_slurm(options: SlurmOptions, spec: RunSpec, facts: Facts) -> Iterator[Problem]:
    """Return what is wrong with these options in this spec."""
    cluster = facts.cluster
    if find_spec("submitit") is None:
        yield Problem("compute", "slurm", "submitit beside the launcher", "pip install 'launcher[slurm]'")
    if cluster is None:
        yield Problem(
            "compute", "slurm", "a host with sbatch", "Log in to the cluster, or choose compute=local"
        )
    yield from _options(options, spec)
    yield from check_container(options.container, spec)
    if cluster is not None and cluster.partitions:
        yield from _limits(options, spec, cluster)


def _options(options: SlurmOptions, spec: RunSpec) -> Iterator[Problem]:
    if options.max_parallel is not None and "?" in (options.dependency or ""):
        hint = "Arrays of a sweep wait for each other as well, and Slurm takes one kind alone"
        yield Problem("compute.dependency", options.dependency, "no ? with compute.max_parallel", hint)
    if port_range(options.ports) is None:
        yield Problem(
            "compute.ports", options.ports, "FIRST-LAST between 1024 and 65535, such as 20000-32000"
        )
    if options.gres and spec.resources.gpus_per_node:
        hint = "Set gpus_per_node=0, or compute.gpu_type instead of gres"
        yield Problem("compute.gres", options.gres, "null with gpus_per_node", hint)
    ours = {"nodes", "ntasks", "ntasks-per-node", "array", "output", "error", "chdir", "signal", "job-name"}
    for key in options.additional_parameters:
        if key.replace("_", "-") in ours:
            given = options.additional_parameters[key]
            yield Problem(
                f"compute.additional_parameters.{key}", given, "another option: this one is set here"
            )


def _limits(options: SlurmOptions, spec: RunSpec, cluster: Cluster) -> Iterator[Problem]:
    resources = spec.resources
    names = (options.partition or cluster.default_partition or "").split(",")
    unknown = [name for name in names if name and name not in cluster.partitions]
    for name in unknown:
        listed = ", ".join(sorted(cluster.partitions))
        yield Problem("compute.partition", name, f"one of {listed}", nearest(name, list(cluster.partitions)))
    known = [cluster.partitions[name] for name in names if name in cluster.partitions]
    if not known or unknown:
        return
    where = f"partition {','.join(names)}"
    most = max(part.nodes for part in known)
    if resources.nodes > most:
        yield Problem("nodes", resources.nodes, f"at most {most} in {where}")
    gpus = max(part.gpus for part in known)
    if resources.gpus_per_node > gpus:
        yield Problem("gpus_per_node", resources.gpus_per_node, f"at most {gpus} on a node of {where}")
    cpus = max(part.cpus for part in known)
    wanted = (resources.cpus_per_process or 1) * resources.processes_per_node
    if wanted > cpus:
        key = "cpus_per_process" if resources.cpus_per_process else "processes_per_node"
        yield Problem(key, getattr(resources, key), f"no more than a node of {where} has: {cpus} CPUs")
    memory = max(part.memory_mib for part in known)
    if resources.memory_gib and resources.memory_gib * 1024 > memory:
        yield Problem("memory_gib", resources.memory_gib, f"at most {memory / 1024:.4g} on a node of {where}")
    limits = [part.time_limit_min for part in known]
    longest = None if None in limits else max(limit for limit in limits if limit is not None)
    if resources.time_limit_min and longest is not None and resources.time_limit_min > longest:
        yield Problem("time_limit_min", resources.time_limit_min, f"at most {longest:.4g} in {where}")
