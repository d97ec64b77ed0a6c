"""Every problem of a spec on a Slurm cluster, with its key, value and what is allowed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from launcher.compute.slurm.target import Slurm
from launcher.data.inputs import Inputs
from launcher.distribution.single import Single
from launcher.environment.current import Current
from launcher.facts import Cluster, Facts, Partition
from launcher.spec import Resources, RunSpec

GPU = Partition(nodes=8, cpus=64, memory_mib=512 * 1024, gpus=4, time_limit_min=2880.0)
SHORT = Partition(nodes=2, cpus=8, memory_mib=16 * 1024, gpus=0, time_limit_min=30.0)
ENDLESS = replace(SHORT, time_limit_min=None)
CLUSTER = Cluster(
    partitions={"gpu": GPU, "short": SHORT, "endless": ENDLESS}, default_partition="short", max_array=1000
)
FACTS = Facts(cluster=CLUSTER)


def run_spec(options: Slurm, **resources: Any) -> RunSpec:
    return RunSpec(
        name="mnist",
        source=Path("/source"),
        script="train.py",
        resources=Resources(**resources),
        distribution=Single(),
        environment=Current(),
        data=Inputs(),
        compute=options,
    )


def problems(options: Slurm, facts: Facts = FACTS, **resources: Any) -> list[tuple[str, object, str]]:
    spec = run_spec(options, **resources)
    return [(item.key, item.given, item.expected) for item in options.check(spec, facts)]


def test_nothing_is_wrong_with_what_fits() -> None:
    whole: dict[str, Any] = {
        "nodes": 8, "processes_per_node": 4, "cpus_per_process": 16, "gpus_per_node": 4, "memory_gib": 512.0,
        "time_limit_min": 2880.0,
    }  # fmt: skip
    assert problems(Slurm(partition="gpu"), **whole) == []
    assert problems(Slurm(partition="short,gpu"), **whole) == []
    assert problems(Slurm()) == problems(Slurm(), Facts(cluster=replace(CLUSTER, partitions={}))) == []
    assert problems(Slurm(partition="endless"), time_limit_min=1e6) == []
    assert problems(Slurm(partition="endless,short"), time_limit_min=1e6) == []


@pytest.mark.parametrize(
    ("resources", "problem"),
    [
        ({"nodes": 3}, ("nodes", 3, "at most 2 in partition short")),
        ({"gpus_per_node": 1}, ("gpus_per_node", 1, "at most 0 on a node of partition short")),
        ({"processes_per_node": 9},
         ("processes_per_node", 9, "no more than a node of partition short has: 8 CPUs")),
        ({"processes_per_node": 3, "cpus_per_process": 3},
         ("cpus_per_process", 3, "no more than a node of partition short has: 8 CPUs")),
        ({"memory_gib": 16.5}, ("memory_gib", 16.5, "at most 16 on a node of partition short")),
        ({"time_limit_min": 31.0}, ("time_limit_min", 31.0, "at most 30 in partition short")),
    ],
)  # fmt: skip
def test_more_than_the_partition_has(resources: dict[str, Any], problem: tuple[str, object, str]) -> None:
    assert problems(Slurm(), **resources) == [problem]
    assert problems(Slurm(), Facts(cluster=replace(CLUSTER, default_partition=None)), **resources) == []


def test_a_partition_that_is_not_there() -> None:
    options = Slurm(partition="gpus,short")
    [found] = options.check(run_spec(options, nodes=100), FACTS)
    assert found == ("compute.partition", "gpus", "one of endless, gpu, short", "Did you mean gpu?")


ODD_PORTS = ("", "20000", "1023-2000", "2000-65536", "3000-3000", "3000-2000", "a-b", "1-2-3", "2000-3000\n")
OURS = (
    "nodes", "ntasks", "ntasks_per_node", "array", "output", "error", "chdir", "signal", "job_name",
)  # fmt: skip


@pytest.mark.parametrize(
    ("options", "key", "given", "expected"),
    [
        (Slurm(max_parallel=2, dependency="afterok:1?afterok:2"), "dependency", "afterok:1?afterok:2",
         "no ? with compute.max_parallel"),
        *((Slurm(ports=ports), "ports", ports,
           "FIRST-LAST between 1024 and 65535, such as 20000-32000") for ports in ODD_PORTS),
        *((Slurm(additional_parameters={key: 1}), f"additional_parameters.{key}", 1,
           "another option: this one is set here") for key in OURS),
    ],
)  # fmt: skip
def test_options_that_mean_nothing(options: Slurm, key: str, given: object, expected: str) -> None:
    facts = Facts(cluster=replace(CLUSTER, partitions={}))
    assert problems(options, facts) == [(f"compute.{key}", given, expected)]


def test_two_ways_to_ask_for_gpus() -> None:
    options = Slurm(partition="gpu", gres="gpu:a100:2")
    [found] = options.check(run_spec(options, gpus_per_node=2), FACTS)
    assert (found.key, found.given, found.expected) == (
        "compute.gres",
        "gpu:a100:2",
        "null with gpus_per_node",
    )
    assert "compute.gpu_type" in found.hint
    assert problems(options) == []


def test_a_host_without_slurm() -> None:
    assert problems(Slurm(), Facts()) == [("compute", "slurm", "a host with sbatch")]


def test_a_launcher_without_submitit(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing: dict[str, object] = {}
    monkeypatch.setattr("launcher.compute.slurm.option_checks.find_spec", nothing.get)
    options = Slurm()
    [found] = options.check(run_spec(options), FACTS)
    assert (found.key, found.hint) == ("compute", "pip install 'launcher[slurm]'")
