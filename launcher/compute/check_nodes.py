"""Rows of `launcher compute check` about a cluster's nodes, from what the job there answered. Pure."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from launcher.capabilities import BAD, OK, WARN, Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from launcher.compute.slurm.cluster_check import Survey
    from launcher.compute.slurm.options import SlurmOptions

LOWEST = (3, 8)
LATE_S = 3.0
"""What is later is worth a warning: logs and states come so late."""
SKEW_S = 5.0


def node_rows(
    found: Survey, options: SlurmOptions, gpus: int, mark: Path, mpirun: str | None
) -> Iterator[Row]:
    """Yield what the nodes have.

    Args:
        found: what the job said.
        options: of the cluster.
        gpus: of each node, as they were asked for.
        mark: a file that was made in the cache for the nodes to see.
        mpirun: the one of this host.
    """
    nodes: list[Mapping[str, Any]] = found.answer.get("nodes", ())
    began = found.answer["time"] - found.submitted
    hosts = ", ".join(node["host"] for node in nodes) or "its node"
    yield Row("job", OK, f"job {found.job} on {hosts}, {max(began, 0):.1f} s after it was submitted")
    yield from _shared(found)
    if not nodes:
        return
    yield from _python(nodes)
    yield _cache(nodes, mark)
    yield _mpirun(nodes, mpirun)
    yield _gpus(nodes, gpus)
    if "other" in found.answer or "ways" in found.answer:
        yield from _network(found.answer, options)


def _shared(found: Survey) -> Iterator[Row]:
    """Yield how late files are, and the clocks: equal where that contradicts nothing."""
    seen = found.answer.get("seen")
    assert found.heard is not None, "it answered"  # noqa: S101
    assert found.told is not None, "so it was told"  # noqa: S101
    lowest = found.answer["time"] - found.heard
    highest = None if seen is None else seen - found.told
    ahead = max(lowest, 0.0) if highest is None else min(max(lowest, 0.0), highest)
    yield _late("store, node to here", found.heard - found.answer["time"] + ahead)
    if seen is not None:
        yield _late("store, here to node", seen - found.told - ahead)
    elif found.done:
        step = "Choose a store that nodes and this host share: store=DIR"
        yield Row("store, here to node", BAD, "the node did not see a file of this host", step)
    step = "Have the nodes' clocks set (NTP): times of runs are the nodes'"
    if abs(ahead) > SKEW_S:
        word = "ahead" if ahead > 0 else "behind"
        yield Row("clock", WARN, f"the node's is {abs(ahead):.1f} s {word} at least", step)
    else:
        width = None if highest is None else max(highest - lowest, 0.0)
        yield Row(
            "clock", OK, "the node's is this host's" + ("" if width is None else f" (within {width:.1f} s)")
        )


def _late(what: str, seconds: float) -> Row:
    found = f"a new file is seen after {max(seconds, 0.0):.1f} s"
    if seconds <= LATE_S:
        return Row(what, OK, found)
    return Row(what, WARN, found, "Nothing to do: logs and states come so late, and runs are not slower")


def _python(nodes: list[Mapping[str, Any]]) -> Iterator[Row]:
    node = nodes[0]
    found = f"{node['python']}, {node['version']}"
    if tuple(map(int, node["version"].split(".")[:2])) < LOWEST:
        yield Row("python", BAD, found, "Set compute.python to 3.8 or newer")
    elif not all(other["paths"][sys.executable] for other in nodes):
        step = "Install the launcher in a folder that nodes see, or use environment=packages"
        yield Row("python", WARN, f"{found}; {sys.executable} is not there: no environment=current", step)
    else:
        yield Row("python", OK, found)


def _cache(nodes: list[Mapping[str, Any]], mark: Path) -> Row:
    if all(node["paths"][str(mark)] for node in nodes):
        return Row("cache", OK, f"nodes see {mark.parent}")
    step = "Set LAUNCHER_CACHE to a folder that nodes see: environments and data are in it"
    return Row("cache", BAD, f"nodes do not see {mark.parent}", step)


def _mpirun(nodes: list[Mapping[str, Any]], mpirun: str | None) -> Row:
    node = nodes[0]
    found = f"{node['mpirun']}, {node['mpirun_version']}" if node["mpirun"] else "none on the node"
    if mpirun is None:
        step = "Load the site's MPI (module load …) here, where runs are planned"
        return Row("mpirun", WARN, f"none on this host; {found}", step)
    if not all(other["paths"][mpirun] for other in nodes):
        step = f"Runs with MPI start {mpirun}: put one first on PATH that nodes have as well"
        return Row("mpirun", WARN, f"{mpirun} is not on the nodes; {found}", step)
    return Row("mpirun", OK, found if node["mpirun"] else mpirun)


def _gpus(nodes: list[Mapping[str, Any]], wanted: int) -> Row:
    node = min(nodes, key=lambda each: len(each["gpus"]))
    names = f" ({', '.join(dict.fromkeys(node['gpu_names']))})" if node["gpu_names"] else ""
    if not wanted:
        return Row("GPUs", OK, f"none asked for{names}", "To look at them: gpus_per_node=1")
    found = f"{len(node['gpus'])} on {node['host']}, {wanted} asked for{names}"
    if len(node["gpus"]) < wanted:
        return Row("GPUs", BAD, found, "The site's Slurm names no GPUs: compute.gres, compute.gpu_type")
    return Row("GPUs", OK, found)


def _network(answer: Mapping[str, Any], options: SlurmOptions) -> Iterator[Row]:
    """Yield by which interfaces the nodes reach each other."""
    if answer.get("other") is None and "ways" not in answer:
        step = "compute.srun_args, for what the site's srun wants"
        yield Row("second node", BAD, f"srun did not start there: {answer.get('problem')}", step)
        return
    hosts = [node["host"] for node in answer["nodes"]]
    ways: list[list[Any]] = answer["ways"]["here"]
    back = {name for name, _, seconds in answer["ways"]["there"] if seconds is not None}
    works = [name for name, _, seconds in ways if seconds is not None]
    both = [name for name in works if name in back]
    shown = ", ".join(
        f"{name} {address} " + ("no" if seconds is None else f"{1000 * seconds:.1f} ms")
        for name, address, seconds in ways
    )
    found = f"{hosts[1]} to {hosts[0]}: {shown or 'no interface is up'}"
    if options.interface is not None and options.interface not in works:
        step = f"compute.interface=null, or {' or '.join(works) or 'ask which network the nodes share'}"
        yield Row("network", BAD, f"{options.interface} does not work. {found}", step)
    elif not works:
        step = f"Ask which ports are open between nodes (compute.ports={options.ports})"
        yield Row("network", BAD, found, step)
    elif not both:
        yield Row("network", WARN, f"{found}; not back", "Runs of several nodes may hang: ask for open ports")
    elif len(works) < len(ways):
        yield Row("network", OK, found, f"To spare the search: compute.interface={both[0]}")
    else:
        yield Row("network", OK, found)
