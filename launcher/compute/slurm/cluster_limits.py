"""A cluster's own limits, as its programs print them."""

from __future__ import annotations

import re

from launcher.compute.slurm.slurm_tool import slurm_tool
from launcher.facts import Cluster, Partition
from launcher.limits import MEMBERS

_FIELDS = "%P|%D|%c|%m|%G|%l|%s"
_NO_LIMIT = ("infinite", "UNLIMITED", "n/a")


def limits() -> Cluster:
    """Return the limits of the cluster that this host submits to; no partitions if it does not answer."""
    partitions: dict[str, Partition] = {}
    default = None
    for line in slurm_tool(["sinfo", "--noheader", "--noconvert", f"--format={_FIELDS}"]).stdout.splitlines():
        name, *figures = line.split("|")
        if len(figures) != _FIELDS.count("|"):
            continue
        if name.endswith("*"):
            name = default = name[:-1]
        part = _partition(figures)
        before = partitions.get(name)
        partitions[name] = part if before is None else _joined(before, part)
    config = slurm_tool(["scontrol", "show", "config"]).stdout
    largest = re.search(r"^MaxArraySize\s*=\s*(\d+)", config, re.MULTILINE)
    jobs = re.search(r"^MaxJobCount\s*=\s*(\d+)", config, re.MULTILINE)
    return Cluster(
        partitions=partitions,
        default_partition=default,
        max_array=max(1, int(largest[1]) - 1) if largest else 1000,  # the largest index is one below
        max_jobs=int(jobs[1]) if jobs else MEMBERS,
        pmi=_pmi(),
    )


def _pmi() -> tuple[str, ...]:
    """Return the plugins that srun has for MPI, which it prints on either stream after a heading."""
    done = slurm_tool(["srun", "--mpi=list"])
    return tuple(sorted(set(re.findall(r"\b(?:pmix\w*|pmi2|none|cray_shasta)\b", done.stdout + done.stderr))))


def _partition(figures: list[str]) -> Partition:
    nodes, cpus, memory, gres, limit, sizes = figures
    most = sizes.rpartition("-")[2]
    gpus = sum(int(found) for found in re.findall(r"\bgpu:(?:[^,:(]+:)?(\d+)", gres))
    return Partition(
        nodes=min(int(nodes), int(most)) if most.isdigit() else int(nodes),
        cpus=int(cpus.rstrip("+")),
        memory_mib=int(memory.rstrip("+")),
        gpus=gpus,
        time_limit_min=minutes(limit),
    )


def _joined(one: Partition, other: Partition) -> Partition:
    return Partition(
        nodes=one.nodes + other.nodes,
        cpus=max(one.cpus, other.cpus),
        memory_mib=max(one.memory_mib, other.memory_mib),
        gpus=max(one.gpus, other.gpus),
        time_limit_min=one.time_limit_min,
    )


def minutes(text: str) -> float | None:
    """Return minutes of Slurm's `days-hours:minutes:seconds`; None where there is no limit."""
    if text in _NO_LIMIT or not text:
        return None
    days, _, rest = text.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if days:
        hours, mins, seconds = (*parts, 0, 0)[:3]
    else:
        hours, mins, seconds = ([0, 0, *parts] if len(parts) > 1 else [0, *parts, 0])[-3:]
    return int(days or 0) * 1440 + hours * 60 + mins + seconds / 60
