"""The plan of a run in words: everything that would happen, and nothing touched."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any

from launcher.agent import container
from launcher.agent.slurm import srun
from launcher.compute.slurm import Slurm, kind_of_job
from launcher.environment.frameworks import choose
from launcher.paths import StoreFolder
from launcher.spec import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from launcher.plan import Plan
    from launcher.spec import LaunchRequest, RunSpec


def describe(request: LaunchRequest, plan: Plan) -> Iterator[str]:
    """Yield the lines of a dry run; placeholders `@{…}` are filled on the node."""
    spec = request.spec
    yield f"experiment    {spec.name}"
    yield f"store         {request.store}"
    yield f"source        {spec.source}"
    compute = plain(spec.compute)
    boxed = compute.pop("container", {})
    yield f"compute       {_options(compute)}"
    if boxed.get("image"):
        yield f"container     {_options(boxed)}"
    yield f"framework     {spec.framework.name} {_version(spec) or ''}".rstrip()
    yield f"environment   {_options(plain(spec.environment))}"
    yield f"distribution  {_options(plain(spec.distribution))}"
    yield f"data          {_options(plain(spec.data)) or 'none'}"
    yield f"resources     {_options(plain(spec.resources))}"
    if spec.retries:
        yield f"retries       {spec.retries}"
    if plan.mpi is not None:
        yield "mpirun"
        yield f"  {shlex.join([*plan.mpi.argv, *plan.mpi.program])}"
        yield from _environment({**plan.mpi.env, **spec.env})
        return
    yield f"processes     {len(plan.processes)} on {plan.nodes} node(s)"
    for process in plan.processes:
        rank = f"rank {process.rank}, local rank {process.local_rank}" if process.rank >= 0 else "no rank"
        gpus = f", GPUs: {process.gpus}" if spec.resources.gpus_per_node else ""
        yield f"{process.name}  node {process.node}, {rank}{gpus}"
        yield f"  {shlex.join(process.argv)}"
        yield from _environment({**spec.env, **process.env})
    if plan.ends_with:
        yield f"ends with     {', '.join(plan.ends_with)}"


def describe_jobs(members: Sequence[tuple[LaunchRequest, Plan]]) -> Iterator[str]:
    """Yield the scripts that sbatch would get, one for the members of a sweep that share an array.

    What only a launch knows stands in capitals: the run's number `N`, the agent's `DIGEST`, the sweep's `ID`.
    """
    groups: dict[str, list[tuple[Slurm, StoreFolder, dict[str, Any]]]] = {}
    counts: dict[str, int] = {}
    for request, plan in members:
        options, store = request.spec.compute, StoreFolder(request.store)
        if not isinstance(options, Slurm):
            continue
        target = repr((options, store.root))
        counts[target] = counts.get(target, 0) + 1
        spec = {**plain(request.spec), "plan": plain(plan), "id": f"{request.spec.name}/N"}
        groups.setdefault(f"{target}\0{kind_of_job(spec)}", []).append((options, store, spec))
    for key, group in groups.items():
        options, store, spec = group[0]
        several = counts[key.partition("\0")[0]] > 1
        folder = store.experiment(spec["name"]) / "N" / "job"
        if several:
            folder = store.sweeps / "ID" / "jobs" / "K"
        script, lines = options.script(spec, folder, store.agents / "DIGEST", len(group) if several else None)
        yield shlex.join(["sbatch", str(folder / "job.sh")])
        yield from (f"  {line}".rstrip() for line in script.text(lines).splitlines())
        yield from _containers(spec, store, options)
        others = spec["resources"]["nodes"] - 1
        if others:
            yield "agents of the other nodes"
            yield f"  {shlex.join(srun(plain(options), others))} python DIGEST node slurm"


def _containers(spec: Mapping[str, Any], store: StoreFolder, options: Slurm) -> Iterator[str]:
    """Yield how the processes of a run get into the container of their node.

    `BOX` is the attempt's name on a node, `GPUS` are those that Slurm gave to the job there.
    """
    run = store.experiment(spec["name"]) / "N"
    environment = {"prefix": "" if spec["environment"]["kind"] == "current" else "@{prefix}"}
    data = [f"@{{data.{name}}}" for name in spec["data"].get("inputs") or ()]
    mine: dict[str, Any] = plain(options.container)
    told = container.wanted(mine, str(run), spec["id"], environment, data)
    if told is None:
        return
    agent = str(store.agents / "DIGEST" / "agent")
    mounts = [*container.own_mounts(mine), [str(run), str(run), False]]
    locked = [str(store.snapshots / "DIGEST"), agent, environment["prefix"], *data]
    mounts += [*([path, path, True] for path in locked if path), ["TMP/BOX", "TMP/BOX", False]]
    box = {**told, "name": "BOX", "pidfile": "TMP/BOX/box.pid", "agent": agent, "mounts": mounts}
    box["gpus"] = ["GPUS"] if spec["resources"]["gpus_per_node"] or options.gres else []
    if container.is_kept(mine):
        yield "container of each node"
        yield f"  {shlex.join(container.start_argv(box, (os.getuid(), os.getgid()), 'AGENT'))}"
    yield "each process in it"
    line = container.enter_argv(
        box, ["TMP/BOX/end-NAME", f"{run}/logs/NAME.log", f"{run}/work/0", "PROGRAM…"]
    )
    yield f"  {shlex.join(line)}"


def _version(spec: RunSpec) -> str | None:
    release = choose(spec.framework) if spec.environment.kind == "packages" else None
    return release.version if release is not None else spec.framework.version


def _environment(env: Mapping[str, str]) -> Iterator[str]:
    return (f"  {key}={value}" for key, value in env.items())


def _options(options: dict[str, object]) -> str:
    kind = options.get("kind", "")
    empty: tuple[object, ...] = (None, [], {}, "")
    rest = [f"{key}={value}" for key, value in options.items() if key != "kind" and value not in empty]
    return " ".join([str(kind), *rest]).strip()
