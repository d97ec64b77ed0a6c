"""TensorFlow's own strategies: roles that find each other through TF_CONFIG."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from launcher.capabilities import Needs
from launcher.errors import Problem
from launcher.limits import TASKS
from launcher.plan import GpuVisibility, Plan, Process

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from launcher.facts import Facts
    from launcher.spec import RunSpec


class Chief(StrEnum):
    """Who is chief of a parameter-server cluster."""

    none = "none"
    worker0 = "worker0"
    extra = "extra"


@dataclass(frozen=True, slots=True)
class _Task:
    role: str
    index: int
    node: int
    gpus: GpuVisibility


def _check_framework(spec: RunSpec, kind: str) -> Iterable[Problem]:
    if spec.framework.name != "tensorflow":
        yield Problem(
            "framework",
            spec.framework.name,
            f"tensorflow with distribution={kind}",
            "Try framework=tensorflow",
        )


def _check_tasks(count: int) -> Iterable[Problem]:
    if count > TASKS:
        expected = f"at most {TASKS:,} tasks in all (each is named to each in TF_CONFIG)"
        yield Problem("nodes, processes_per_node", count, expected)


def _address(task: _Task) -> str:
    return f"@{{host.{task.node}}}:@{{port.{task.role}.{task.index}}}"


def _plan(spec: RunSpec, tasks: Sequence[_Task], ends_with: tuple[str, ...]) -> Plan:
    """Give every task its TF_CONFIG (an evaluator is not part of the cluster that it watches)."""
    cluster: dict[str, list[str]] = {}
    for task in tasks:
        if task.role != "evaluator":
            cluster.setdefault(task.role, []).append(_address(task))
    seen_on: dict[int, int] = {}
    processes: list[Process] = []
    for rank, task in enumerate(tasks):
        config = {
            "cluster": cluster,
            "task": {"type": task.role, "index": task.index},
            "environment": "cloud",
        }
        local_rank = seen_on.get(task.node, 0)
        seen_on[task.node] = local_rank + 1
        processes.append(
            Process(
                role=task.role,
                index=task.index,
                rank=rank,
                local_rank=local_rank,
                node=task.node,
                argv=spec.program,
                env={"TF_CONFIG": json.dumps(config)},
                gpus=task.gpus,
            )
        )
    ports = {f"{task.role}.{task.index}": task.node for task in tasks if task.role != "evaluator"}
    resources = spec.resources
    return Plan(
        nodes=resources.nodes, processes_per_node=resources.processes_per_node, processes=tuple(processes),
        ends_with=ends_with, ports=ports,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ParameterServer:
    """Workers that compute gradients and parameter servers that hold the variables."""

    kind: ClassVar[str] = "parameter_server"

    worker_count: int | None = None
    """Workers in all; null: nodes x processes_per_node."""
    parameter_server_count: int = 1
    chief: Chief = Chief.extra
    """`none`: plain workers and servers, as ClusterSpec scripts want them; `worker0`: worker 0 is named
    chief, for tf.estimator; `extra`: one more process, for TensorFlow 2's coordinator."""
    evaluator: bool = False
    """One more process outside the cluster, for tf.estimator's evaluation."""

    @property
    def needs(self) -> Needs:
        """See `Distribution.needs`."""
        return Needs()

    def check(self, spec: RunSpec, facts: Facts) -> Iterable[Problem]:
        """See `Distribution.check`."""
        del facts
        yield from _check_framework(spec, self.kind)
        yield from _check_tasks(self.size(spec))

    def size(self, spec: RunSpec) -> int:
        """See `Distribution.size`."""
        workers = self.worker_count or spec.resources.world_size
        return workers + self.parameter_server_count + (self.chief is Chief.extra) + self.evaluator

    def plan(self, spec: RunSpec, facts: Facts) -> Plan:
        """See `Distribution.plan`."""
        del facts
        nodes = spec.resources.nodes
        workers = self.worker_count or spec.resources.world_size
        tasks = [_Task("chief", 0, 0, GpuVisibility.NONE)] if self.chief is Chief.extra else []
        named_chief = 1 if self.chief is Chief.worker0 else 0
        for number in range(workers):
            role, index = ("chief", 0) if number < named_chief else ("worker", number - named_chief)
            tasks.append(_Task(role, index, number * nodes // workers, GpuVisibility.PROCESS))
        servers = range(self.parameter_server_count)
        tasks += [_Task("ps", number, number % nodes, GpuVisibility.NONE) for number in servers]
        if self.evaluator:
            tasks.append(_Task("evaluator", 0, 0, GpuVisibility.NONE))
        return _plan(spec, tasks, ("worker",) if self.chief is Chief.none else ("chief",))


@dataclass(frozen=True, kw_only=True)
class MultiWorker:
    """Workers that reduce gradients among themselves, as MultiWorkerMirroredStrategy does."""

    kind: ClassVar[str] = "multi_worker"

    @property
    def needs(self) -> Needs:
        """See `Distribution.needs`."""
        return Needs()

    def check(self, spec: RunSpec, facts: Facts) -> Iterable[Problem]:
        """See `Distribution.check`."""
        del facts
        yield from _check_framework(spec, self.kind)
        yield from _check_tasks(self.size(spec))

    def size(self, spec: RunSpec) -> int:
        """See `Distribution.size`."""
        return spec.resources.world_size

    def plan(self, spec: RunSpec, facts: Facts) -> Plan:
        """See `Distribution.plan`."""
        del facts
        per_node = spec.resources.processes_per_node
        ranks = range(spec.resources.world_size)
        tasks = [_Task("worker", rank, rank // per_node, GpuVisibility.PROCESS) for rank in ranks]
        return _plan(spec, tasks, ())
