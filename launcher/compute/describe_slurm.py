"""The lines of a dry run with compute=slurm: the scripts of its jobs."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any, cast

from launcher.agent.base import container_argv
from launcher.agent.base.slurm_facts import agents_argv
from launcher.compute.batch import array_key
from launcher.compute.describe_container import container_of
from launcher.compute.scheduler import JobRequest
from launcher.compute.slurm.slurm_scheduler import SlurmScheduler
from launcher.paths import StoreFolder
from launcher.spec import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from launcher.compute.slurm.options import SlurmOptions
    from launcher.plan import Plan
    from launcher.spec import LaunchRequest


def describe_jobs(members: Sequence[tuple[LaunchRequest, Plan]]) -> Iterator[str]:
    """Yield the scripts that sbatch would get, one for the members that share an array.

    What only a launch knows stands in capitals: the run's number `N`, the agent's `DIGEST`, the sweep's `ID`.
    """
    groups: dict[str, list[tuple[LaunchRequest, dict[str, Any]]]] = {}
    counts: dict[str, int] = {}
    for request, plan in members:
        target = repr((request.spec.compute, request.store))
        counts[target] = counts.get(target, 0) + 1
        spec = {**plain(request.spec), "plan": plain(plan), "id": f"{request.spec.name}/N"}
        groups.setdefault(f"{target}\0{array_key(spec)}", []).append((request, spec))
    for key, group in groups.items():
        request, spec = group[0]
        options, store = cast("SlurmOptions", request.spec.compute), StoreFolder(request.store)
        several = counts[key.partition("\0")[0]] > 1
        folder = store.experiment(spec["name"]) / "N" / "job"
        if several:
            folder = store.sweeps / "ID" / "jobs" / "K"
        scheduler = SlurmScheduler(options)
        job = JobRequest(
            spec=spec, folder=folder, agent=store.agents / "DIGEST", command="job",
            members=len(group) if several else None,
        )  # fmt: skip
        yield shlex.join([scheduler.program, str(folder / "job.sh")])
        yield from (f"  {line}".rstrip() for line in scheduler.render(job).splitlines())
        prefix = "" if request.spec.environment.traits.own_python else "@{prefix}"
        yield from _containers(spec, store, options, prefix)
        others = spec["plan"]["nodes"] - 1
        if others:
            yield "agents of the other nodes"
            yield f"  {shlex.join(agents_argv(plain(options), others))} python DIGEST node slurm"


def _containers(
    spec: Mapping[str, Any], store: StoreFolder, options: SlurmOptions, prefix: str
) -> Iterator[str]:
    """Yield how the processes of a run get into the container of their node.

    `BOX` is the attempt's name on a node, `GPUS` are those that Slurm gave to the job there.
    """
    mine: dict[str, Any] = plain(options.container)
    box = container_of(mine, spec, store, "BOX", prefix)
    if box is None:
        return
    run = store.experiment(spec["name"]) / "N"
    box["gpus"] = ["GPUS"] if spec["resources"]["gpus_per_node"] or options.gres else []
    if container_argv.is_kept(mine):
        yield "container of each node"
        yield f"  {shlex.join(container_argv.start_argv(box, (os.getuid(), os.getgid()), 'AGENT'))}"
    yield "each process in it"
    line = container_argv.enter_argv(
        box, ["TMP/BOX/end-NAME", f"{run}/attempts/0/logs/NAME.log", f"{run}/work/0", "PROGRAM…"]
    )
    yield f"  {shlex.join(line)}"
