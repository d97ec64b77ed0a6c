"""A cluster's own limits, read through its tools and kept for a while."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from typing import TYPE_CHECKING, Any

from launcher.compute.slurm_script import tool
from launcher.facts import Cluster, Partition
from launcher.limits import MEMBERS
from launcher.paths import cache_root
from launcher.spec import plain
from launcher.store import records

if TYPE_CHECKING:
    from pathlib import Path

KEEP_S = 600.0
"""Limits seldom change, and sbatch has the last word."""

_FIELDS = "%P|%D|%c|%m|%G|%l|%s"
_NO_LIMIT = ("infinite", "UNLIMITED", "n/a")


def read_cluster() -> Cluster | None:
    """Return the limits of the cluster that this host submits to; None where it submits to none."""
    if shutil.which("sbatch") is None:
        return None
    kept = _kept()
    found = records.read(kept) or {"time": 0.0}
    if not 0 <= time.time() - found["time"] < KEEP_S:
        found: dict[str, Any] = {"time": time.time(), **_ask()}
        if found["partitions"]:
            try:
                kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                records.write(kept, found)
            except OSError:
                pass  # asked again next time
    return Cluster(
        partitions={name: Partition(**part) for name, part in found["partitions"].items()},
        default_partition=found["default_partition"],
        max_array=found["max_array"],
        max_jobs=found.get("max_jobs", MEMBERS),  # not in what an older launcher kept
        pmi=tuple(found.get("pmi") or ()),
    )


def _kept() -> Path:
    which = f"{os.environ.get('SLURM_CONF', '')}\0{os.uname().nodename}"
    return cache_root() / "slurm" / f"limits-{hashlib.sha256(os.fsencode(which)).hexdigest()[:12]}.json"


def _ask() -> dict[str, Any]:
    partitions: dict[str, Partition] = {}
    default = None
    for line in tool(["sinfo", "--noheader", "--noconvert", f"--format={_FIELDS}"]).stdout.splitlines():
        name, *figures = line.split("|")
        if len(figures) != _FIELDS.count("|"):
            continue
        if name.endswith("*"):
            name = default = name[:-1]
        part = _partition(figures)
        before = partitions.get(name)
        partitions[name] = part if before is None else _joined(before, part)
    config = tool(["scontrol", "show", "config"]).stdout
    largest = re.search(r"^MaxArraySize\s*=\s*(\d+)", config, re.MULTILINE)
    jobs = re.search(r"^MaxJobCount\s*=\s*(\d+)", config, re.MULTILINE)
    return {
        "partitions": plain(partitions),
        "default_partition": default,
        "max_array": max(1, int(largest[1]) - 1) if largest else 1000,  # the largest index is one below
        "max_jobs": int(jobs[1]) if jobs else MEMBERS,
        "pmi": _pmi(),
    }


def _pmi() -> list[str]:
    """Return the plugins that srun has for MPI; they are told on either stream, after a heading."""
    told = tool(["srun", "--mpi=list"])
    return sorted(set(re.findall(r"\b(?:pmix\w*|pmi2|none|cray_shasta)\b", told.stdout + told.stderr)))


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
