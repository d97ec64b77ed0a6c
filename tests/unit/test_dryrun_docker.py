"""What a dry run shows of containers: the image, each node's as a line of docker, and what runs in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from launcher.capabilities import Framework
from launcher.compute.docker import Docker, Pull
from launcher.compute.local import Local
from launcher.data.inputs import Inputs
from launcher.distribution.horovod import Horovod
from launcher.distribution.mpi import MpiRun
from launcher.distribution.single import Single
from launcher.distribution.torch import Torch
from launcher.dryrun import describe, describe_environment
from launcher.engine.boxes import run_line
from launcher.environment import Image, Packages
from launcher.environment.registry import Registry
from launcher.facts import Engine, Facts, Mpi
from launcher.spec import LaunchRequest, Resources, RunSpec

if TYPE_CHECKING:
    from launcher.spec import Compute, Environment

GOLDEN = Path(__file__).parent / "golden"
MPI = Mpi(mpirun="mpirun", flavour="openmpi", version="4.1", compiler="mpicxx")
FACTS = Facts(engine=Engine(version="20.10", cpus=8, memory_mib=16384), mpi=MPI)
SITE = Registry(address="registry.site", username="robot", password="@{secret.TOKEN}")  # noqa: S106  # a name

FULL = Docker(
    pull=Pull.always,
    mounts=["/scratch:/scratch", "/models:/models:ro"],
    shm_size_gib=0.5,
    capabilities=["SYS_PTRACE"],
    devices=["/dev/infiniband"],
    ulimits={"memlock": -1},
)
BIG = {"nodes": 2, "processes_per_node": 2, "gpus_per_node": 1, "cpus_per_process": 3, "memory_gib": 1.5}


def asked(environment: Environment, compute: Compute, **fields: Any) -> LaunchRequest:
    resources = Resources(**fields.pop("resources", {}))
    inputs = Inputs(inputs={"digits": {"uri": "/data/digits"}})
    given: dict[str, Any] = {"distribution": Single(), **fields}
    spec = RunSpec(
        name="mnist", source=Path("/source"), script="train.py", args=("--data", "@{data.digits}"),
        resources=resources, environment=environment, data=inputs, compute=compute, **given,
    )  # fmt: skip
    return LaunchRequest(spec=spec, store=Path("/sto re"), config="")


def shown(request: LaunchRequest, facts: Facts = FACTS) -> str:
    plan = request.spec.distribution.plan(request.spec, facts)
    target = request.spec.compute.describe(request, plan, facts)
    return "\n".join([*describe(request, plan), *describe_environment(request, facts), *target]) + "\n"


@pytest.fixture(autouse=True)
def somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be somebody whom the golden files know."""
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setattr(os, "getgid", lambda: 100)
    monkeypatch.setattr(os, "getgroups", lambda: [100, 44, 27])
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("docker_image", asked(Image(image="registry.site/vision/train:7", registry=SITE), FULL,
                               distribution=Torch(), resources=BIG)),
        ("docker_packages", asked(
            Packages(base_image="registry.site/base:1", apt_packages=["libgl1"], push="registry.site/vision",
                     dockerfile_lines=["RUN curl https://me:s3cret@site/x"], registry=SITE,
                     pip_packages=["rich", "tool @ https://me:s3cret@site/tool.whl"]),
            Docker(), distribution=MpiRun(), resources={"nodes": 2})),
        ("docker_horovod", asked(Packages(conda_packages=["numpy=1.26"], channels=["https://me:s3cret@site/c"]),
                                 Docker(), distribution=Horovod(), framework=Framework(name="pytorch"))),
    ],
)  # fmt: skip
def test_containers(name: str, request_: LaunchRequest) -> None:
    text = shown(request_)
    assert "s3cret" not in text
    golden = GOLDEN / f"dry_run_{name}.txt"
    if os.environ.get("LAUNCHER_UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text(), "rerun with LAUNCHER_UPDATE_GOLDEN=1, then read the diff"


def test_what_an_engine_makes_of_the_user() -> None:
    request = asked(Image(image="a:1"), Docker())
    assert " --user=1000:100 --group-add=27 --group-add=44 " in shown(request)
    assert " --user=0:0 --label" in shown(request, Facts(engine=Engine(rootless=True)))
    assert " --userns=host " in shown(request, Facts(engine=Engine(remapped=True)))


def test_nothing_is_installed_that_nobody_wants() -> None:
    text = shown(asked(Packages(), Docker()))
    assert (
        "  FROM python:3.11-slim-bookworm\n  LABEL launcher.build=1\n  USER root\ncontainer of node0\n"
        in text
    )
    assert "python:3.10-slim" in shown(asked(Packages(python="3.10"), Docker()))


def test_other_targets_have_no_containers() -> None:
    request = asked(Packages(), Local())
    assert list(Local().describe(request, Single().plan(request.spec, FACTS), FACTS)) == []


@pytest.mark.parametrize(
    ("count", "told"), [(2**30, "1g"), (3 * 2**29, "1536m"), (5 * 2**10, "5k"), (2**20 + 1, "1048577b")]
)
def test_sizes_as_docker_takes_them(count: int, told: str) -> None:
    options: dict[str, Any] = {"capabilities": [], "devices": [], "ulimits": {}}
    wanted: dict[str, Any] = {
        "name": "b", "hostname": "node0", "user": "0:0", "groups": [], "labels": {}, "network": None,
        "memory": count,
        "nano_cpus": None, "shm": count, "gpus": [], "options": options, "mounts": [], "remapped": False,
        "image": "a:1", "fifo": "/f",
    }  # fmt: skip
    line = run_line(wanted)
    assert f"--memory={told}" in line
    assert f"--shm-size={told}" in line
