"""The lines of a dry run with compute=docker: the nodes' containers, with what runs in them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from launcher.agent.base import container_argv
from launcher.compute.containers import groups_in, user_in
from launcher.compute.describe_container import container_of
from launcher.engine.boxes import run_line
from launcher.engine.made import OWNER, RUN, TOKEN
from launcher.paths import StoreFolder
from launcher.spec import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from launcher.facts import Facts
    from launcher.plan import Plan
    from launcher.spec import LaunchRequest


def describe(request: LaunchRequest, plan: Plan, facts: Facts) -> Iterator[str]:
    """Yield the containers of a run's nodes as lines of docker, with what runs in them."""
    spec: dict[str, Any] = {**plain(request.spec), "plan": plain(plan), "id": f"{request.spec.name}/N"}
    store = StoreFolder(request.store)
    run = store.experiment(request.spec.name) / "N"
    mine = container_argv.of(spec["compute"], {"image": request.spec.environment.traits.image})
    labels = {RUN: spec["id"], OWNER: "AGENT", TOKEN: "TOKEN"}
    if plan.nodes > 1:
        yield "network of the run"
        told = [f"--label={name}={value}" for name, value in labels.items()]
        yield f"  {shlex.join(['docker', 'network', 'create', '--driver=bridge', *told, 'NET'])}"
    for node in range(plan.nodes):
        name = f"BOX{node}"
        box = container_of(mine, spec, store, name)
        assert box is not None, "checked"  # noqa: S101
        box.update(container_argv.engine_part(mine, spec, "", node), labels=labels)
        box.update(user=user_in(facts.engine), groups=groups_in(facts.engine))
        box.update(fifo=f"TMP/{name}/alive", network="NET" if plan.nodes > 1 else None)
        box.update(remapped=facts.engine is not None and facts.engine.remapped)
        box["gpus"] = ["GPUS"] if request.spec.resources.gpus_per_node else []
        yield f"container of {box['hostname']}"
        yield f"  {shlex.join(run_line(box))}"
        for process, log, argv in _processes(plan, node):
            words = [f"TMP/{name}/end-{process}", f"{run}/attempts/0/logs/{log}.log", f"{run}/work/0", *argv]
            stub = box["agent"] + "/containers/enter.sh"
            yield f"  {shlex.join(['docker', 'exec', name, 'sh', stub, *words])}"


def _processes(plan: Plan, node: int) -> Iterator[tuple[str, str, Sequence[str]]]:
    """Yield name, log and argv of what is started in the container of a node."""
    if plan.mpi is None:
        yield from ((each.name, each.name, each.argv) for each in plan.processes if each.node == node)
    elif node == 0:
        yield "mpirun-0", "mpirun-0", (*plan.mpi.argv, *plan.mpi.program)
    else:
        yield f"daemon-{node}", "mpirun-0", ("sh", "-c", "DAEMON")
