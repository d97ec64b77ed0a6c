"""TF_CONFIG of every process, as a value."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from launcher.amounts import check_amounts
from launcher.distribution.tensorflow import Chief, MultiWorker, ParameterServer
from launcher.facts import Facts
from launcher.plan import GpuVisibility, Plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.spec import RunSpec

    Specs = Callable[..., RunSpec]

FACTS = Facts()


def clusters(plan: Plan) -> dict[str, list[str]]:
    """Return the cluster that all processes agree on."""
    configs = [json.loads(process.env["TF_CONFIG"]) for process in plan.processes]
    assert all(config["cluster"] == configs[0]["cluster"] for config in configs)
    assert all(config["environment"] == "cloud" for config in configs)
    tasks = [(config["task"]["type"], config["task"]["index"]) for config in configs]
    assert tasks == [(process.role, process.index) for process in plan.processes]
    return configs[0]["cluster"]


def addresses(role: str, *nodes: int) -> list[str]:
    return [f"@{{host.{node}}}:@{{port.{role}.{index}}}" for index, node in enumerate(nodes)]


def plan_of(specs: Specs, nodes: int, each: int = 1, **options: Any) -> Plan:
    made = specs(ParameterServer(**options), nodes, each)
    return made.distribution.plan(made, FACTS)


def test_the_default_is_a_coordinator_beside_workers_and_servers(spec: Specs) -> None:
    plan = plan_of(spec, 2, parameter_server_count=2)
    assert clusters(plan) == {
        "chief": addresses("chief", 0), "worker": addresses("worker", 0, 1), "ps": addresses("ps", 0, 1),
    }  # fmt: skip
    assert [(item.name, item.node, item.rank, item.local_rank, item.gpus) for item in plan.processes] == [
        ("chief-0", 0, 0, 0, GpuVisibility.NONE),
        ("worker-0", 0, 1, 1, GpuVisibility.PROCESS),
        ("worker-1", 1, 2, 0, GpuVisibility.PROCESS),
        ("ps-0", 0, 3, 2, GpuVisibility.NONE),
        ("ps-1", 1, 4, 1, GpuVisibility.NONE),
    ]
    assert plan.ends_with == ("chief",)
    assert plan.ports == {"chief.0": 0, "worker.0": 0, "worker.1": 1, "ps.0": 0, "ps.1": 1}
    assert {item.argv for item in plan.processes} == {("@{python}", "train.py", "--rate", "0.1")}


def test_plain_clusters_end_with_their_workers(spec: Specs) -> None:
    plan = plan_of(spec, 2, chief=Chief.none)
    assert clusters(plan) == {"worker": addresses("worker", 0, 1), "ps": addresses("ps", 0)}
    assert plan.ends_with == ("worker",)


def test_worker_0_as_chief_leaves_one_worker_fewer(spec: Specs) -> None:
    plan = plan_of(spec, 3, chief=Chief.worker0)
    assert clusters(plan) == {
        "chief": addresses("chief", 0), "worker": addresses("worker", 1, 2), "ps": addresses("ps", 0),
    }  # fmt: skip
    assert plan.processes[0].gpus is GpuVisibility.PROCESS
    assert plan.ends_with == ("chief",)
    alone = plan_of(spec, 1, chief=Chief.worker0)
    assert clusters(alone) == {"chief": addresses("chief", 0), "ps": addresses("ps", 0)}


@pytest.mark.parametrize("chief", list(Chief))
def test_the_evaluator_watches_from_outside(spec: Specs, chief: Chief) -> None:
    plain, watched = (plan_of(spec, 2, chief=chief, evaluator=evaluator) for evaluator in (False, True))
    assert clusters(watched) == clusters(plain)
    assert watched.processes[-1].name == "evaluator-0"
    assert watched.ports == plain.ports
    assert len(watched.processes) == len(plain.processes) + 1


def test_without_servers_there_is_no_such_key(spec: Specs) -> None:
    assert set(clusters(plan_of(spec, 1, parameter_server_count=0))) == {"chief", "worker"}


@pytest.mark.parametrize("nodes", [1, 2, 3])
@pytest.mark.parametrize("each", [1, 2, 3])
@pytest.mark.parametrize("chief", list(Chief))
def test_workers_and_servers_are_spread(spec: Specs, nodes: int, each: int, chief: Chief) -> None:
    plan = plan_of(spec, nodes, each, chief=chief, parameter_server_count=4)
    workers = [item for item in plan.processes if item.gpus is GpuVisibility.PROCESS]
    assert [item.node for item in workers] == [node for node in range(nodes) for _ in range(each)]
    assert [item.node for item in plan.processes if item.role == "ps"] == [
        number % nodes for number in range(4)
    ]
    assert [item.rank for item in plan.processes] == list(range(len(plan.processes)))
    names = [item.name for item in plan.processes]
    assert len(set(names)) == len(names)
    for node in range(nodes):
        on_node = [item.local_rank for item in plan.processes if item.node == node]
        assert on_node == list(range(len(on_node)))
    assert plan.ports == {f"{item.role}.{item.index}": item.node for item in plan.processes}
    clusters(plan)


def test_worker_count_is_independent_of_nodes(spec: Specs) -> None:
    plan = plan_of(spec, 2, 1, worker_count=5, chief=Chief.none)
    assert [item.node for item in plan.processes if item.role == "worker"] == [0, 0, 0, 1, 1]


@pytest.mark.parametrize("nodes", [1, 2, 3])
@pytest.mark.parametrize("each", [1, 2, 3])
def test_multi_worker(spec: Specs, nodes: int, each: int) -> None:
    made = spec(MultiWorker(), nodes, each)
    plan = made.distribution.plan(made, FACTS)
    on = [node for node in range(nodes) for _ in range(each)]
    assert clusters(plan) == {"worker": addresses("worker", *on)}
    assert [item.node for item in plan.processes] == on
    assert plan.ends_with == ()


def test_what_is_refused(spec: Specs) -> None:
    found = ParameterServer(worker_count=0, parameter_server_count=-1)
    wrong = spec(found, framework="pytorch")
    problems = [*found.check(wrong, FACTS), *check_amounts(wrong)]
    keys = ["framework", "distribution.worker_count", "distribution.parameter_server_count"]
    assert [problem.key for problem in problems] == keys
    assert list(ParameterServer().check(spec(ParameterServer()), FACTS)) == []
    [problem] = MultiWorker().check(spec(MultiWorker(), framework="sklearn"), FACTS)
    assert "framework=tensorflow" in str(problem)
