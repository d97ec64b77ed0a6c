"""What is wrong with a container is told before anything is touched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from launcher.compute.containers import Container, Runtime, check_container, in_image
from launcher.compute.slurm.target import Slurm
from launcher.data.inputs import Inputs
from launcher.distribution.mpi import MpiRun, Start
from launcher.distribution.single import Single
from launcher.environment.current import Current
from launcher.facts import Facts, Mpi
from launcher.spec import RunSpec


def spec(options: Container, **fields: Any) -> RunSpec:
    return RunSpec(
        name="mnist", source=Path("/source"), script="train.py",
        distribution=fields.pop("distribution", Single()),
        environment=Current(), data=Inputs(), compute=Slurm(container=options), **fields,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({"image": None}, []),
        ({"image": None, "mounts": ["/a:/b"]}, ["image"]),
        ({"image": None, "wrap": ["x"]}, ["image"]),
        ({"image": "a", "mounts": ["/a:/b", "/a:/c:ro", "/x y:/d"]}, []),
        ({"image": "a", "mounts": ["/a", "a:/b", "/a:/b:rw", "/a:/b:c:ro", "/a,b:/c"]},
         [f"mounts[{index}]" for index in range(5)]),
        ({"image": "a", "mounts": ["/a:/b", "/c:/b/"]}, ["mounts[1]"]),
        ({"image": "a", "wrap": ["env"]}, ["wrap"]),
        ({"image": "a", "runtime": Runtime.enroot, "wrap": []}, ["wrap"]),
        ({"image": "a", "runtime": Runtime.enroot, "wrap": [" "]}, ["wrap"]),
        ({"image": "a", "runtime": Runtime.apptainer, "options": ["-x"]}, ["options"]),
        ({"image": "a", "runtime": Runtime.apptainer, "wrap": ["x", "@{image}"]}, []),
        ({"image": "a", "mpi": "openmpi"}, ["mpi"]),
        ({"image": "a", "mpi": "openmpi 5.0.7"}, []),
    ],
)  # fmt: skip
def test_options(options: dict[str, Any], keys: list[str]) -> None:
    made = Container(**options)
    told = [problem.key for problem in check_container(made, spec(made))]
    assert told == [f"compute.container.{key}" for key in keys]


def test_srun_would_start_ranks_outside() -> None:
    made = Container(image="a")
    wanted = spec(made, distribution=MpiRun(start=Start.srun))
    assert [problem.key for problem in check_container(made, wanted)] == ["distribution.start"]


HOST = Facts(mpi=Mpi(mpirun="/usr/bin/mpirun", flavour="openmpi", version="4.1.4"))


def test_the_image_s_mpi_is_the_host_s_unless_told() -> None:
    inside = in_image(Container(image="a"), HOST, current=True)
    assert inside.mpi == Mpi(mpirun="mpirun", flavour="openmpi", version="4.1.4")
    told = in_image(Container(image="a", mpi="mpich 4.2"), Facts(), current=True)
    assert told.mpi == Mpi(mpirun="mpirun", flavour="mpich", version="4.2")
    assert in_image(Container(), HOST, current=True) == HOST


def test_an_environment_s_own_mpi_comes_along() -> None:
    own = replace(HOST, mpi=Mpi(mpirun="@{prefix}/bin/mpirun", flavour="openmpi", version="5.0"))
    assert in_image(Container(image="a", mpi="mpich 4"), own, current=False) == own


def test_nobody_looks_into_the_image_for_modules() -> None:
    wanted = spec(Container(image="a"))
    inside = in_image(Container(image="a"), Facts(), current=True)
    assert list(wanted.environment.check(wanted.environment_request, inside)) == []
    assert inside.horovod_controllers == ("mpi", "gloo")
