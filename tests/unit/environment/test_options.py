"""The option classes: as Hydra takes them, and what they find wrong."""

from __future__ import annotations

import importlib
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from omegaconf import OmegaConf

from launcher.capabilities import Capabilities, EnvironmentRequest, Framework, Needs
from launcher.distribution.horovod import Horovod
from launcher.distribution.mpi import MpiRun
from launcher.environment import CHOICES, Current, Packages
from launcher.environment.build.uv import torch_backends
from launcher.environment.recipe import problems
from launcher.environment.recipe.choice import choose_recipe
from launcher.environment.recipe.key import digest
from launcher.facts import Facts, Mpi
from launcher.spec import plain

if TYPE_CHECKING:
    from launcher.spec import Environment

MPI = Mpi(mpirun="/usr/bin/mpirun", flavour="openmpi", version="4.1.4", compiler="/usr/bin/mpicxx")
FACTS = Facts(cxx="/usr/bin/g++", mpi=MPI)


MPI4PY, HOROVOD = MpiRun().needs, Horovod().needs


def request(
    framework: str = "python", version: str | None = None, needs: Needs | None = None, gpus: int = 0
) -> EnvironmentRequest:
    return EnvironmentRequest(
        framework=Framework(name=framework, version=version), gpus=gpus > 0, needs=needs or Needs(),
        target=Capabilities(), compute="local",
    )  # fmt: skip


def said(environment: Environment, facts: Facts = FACTS, **of: Any) -> list[str]:
    return [str(problem) for problem in environment.check(request(**of), facts)]


@pytest.mark.parametrize("option", CHOICES.values(), ids=CHOICES)
def test_hydra_makes_a_node_of_it_and_back(option: type[Current | Packages]) -> None:
    node = OmegaConf.structured(option)
    made = OmegaConf.to_object(node)
    assert made == option()
    assert {field.name for field in fields(option)} == set(node)
    assert plain(made)["kind"] == option.kind


def test_values_of_hydra_are_typed() -> None:
    node = OmegaConf.structured(Packages)
    OmegaConf.set_readonly(node, value=None)
    node.pip_packages = ["six"]
    node.python = "3.10"
    made = OmegaConf.to_object(node)
    assert made == Packages(pip_packages=["six"], python="3.10")


def test_current_must_have_what_is_asked_for() -> None:
    assert said(Current()) == []
    (text,) = said(Current(), framework="tensorflow")
    assert text == (
        "environment: got 'current'; expected a Python that has tensorflow. "
        "Try environment=packages, which installs it"
    )
    both = said(Current(), framework="pytorch", needs=HOROVOD)
    assert len(both) == 2
    assert (
        said(Current(), Facts(modules=frozenset({"torch", "horovod"})), framework="pytorch", needs=HOROVOD)
        == []
    )


def test_current_is_the_python_of_the_launcher(tmp_path: Path) -> None:
    current = Current()
    made = current.prepare(request(), FACTS, tmp_path, cast("Any", None))
    assert made.key == "current"
    assert made.python == sys.executable
    assert current.horovod_controllers(Facts(horovod_controllers=("gloo",))) == ("gloo",)
    assert list(tmp_path.iterdir()) == []


def test_the_controllers_of_an_installed_horovod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Current().horovod_controllers(Facts()) == ()
    library = tmp_path / "horovod" / "torch" / "mpi_lib_v2.cpython-311.so"
    library.parent.mkdir(parents=True)
    (tmp_path / "horovod" / "__init__.py").write_text("")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    importlib.invalidate_caches()
    library.write_bytes(b"\x7fELF gloo libmpi.so.40 \0")
    assert Current().horovod_controllers(Facts()) == ("mpi", "gloo")
    library.write_bytes(b"\x7fELF gloo \0")
    assert Current().horovod_controllers(Facts()) == ("gloo",)


def test_packages_without_options_are_fine() -> None:
    for name in ("python", "sklearn", "tensorflow", "pytorch"):
        assert said(Packages(), framework=name) == []


@pytest.mark.parametrize(
    ("option", "key", "words"),
    [
        (Packages(python="2.1"), "environment.python", "on this machine. Found here: "),
        (Packages(python="three"), "environment.python", "a version of Python as 3.11"),
        (Packages(python="/nonesuch/python3"), "environment.python", "/nonesuch/python3"),
        (Packages(requirements_file="nonesuch.txt"), "environment.requirements_file", "a file that exists"),
        (Packages(pip_packages=["six", "six >> 1"]), "environment.pip_packages", "'six >> 1'"),
        (Packages(pip_packages=["--index-url x"]), "environment.pip_packages", "requirements_file"),
        (Packages(build_on="moon"), "environment.build_on", "submit"),
        (Packages(torch_backend="gpu!"), "environment.torch_backend", "cpu"),
    ],
)
def test_what_is_wrong_names_its_key(option: Packages, key: str, words: str) -> None:
    (text,) = said(option)
    assert text.startswith(f"{key}: got ")
    assert words in text


def test_archives_folders_and_addresses_are_requirements(tmp_path: Path) -> None:
    (tmp_path / "b.whl").touch()
    (tmp_path / "pkgx").mkdir()
    (tmp_path / "pkgx" / "setup.py").touch()
    lines = [
        "six @ https://host.example/six.whl",
        "git+https://host.example/a.git",
        "./b.whl",
        "pkgx @ ./pkgx",
        "./pkgx[a]",
        "six[a]>=1; python_version>'3'",
    ]
    option = Packages(pip_packages=lines).located(tmp_path)
    assert said(option) == []
    assert option.pip_packages[3:5] == [f"pkgx @ file://{tmp_path}/pkgx", f"{tmp_path}/pkgx[a]"]
    assert Packages(pip_packages=lines).located(tmp_path) == option


def test_local_packages_that_do_not_exist(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("six\n./pkgx\n-r more.txt\n")
    (tmp_path / "environment.yaml").write_text("dependencies: [python, {pip: [./pkgx]}]\n")
    texts = said(
        Packages(
            pip_packages=["./pkgx"],
            requirements_file="requirements.txt",
            environment_file="environment.yaml",
        ).located(tmp_path)
    )
    assert [text.split(": ")[0] for text in texts[:4]] == [
        "environment.requirements_file",
        "environment.requirements_file",
        "environment.pip_packages",
        "environment.environment_file",
    ]
    assert f"{tmp_path}/requirements.txt, line 2: got './pkgx'; expected an archive" in texts[0]
    assert "Paths count from the folder of the file that names them" in texts[0]
    assert f"got '{tmp_path}/pkgx'; expected an archive, or a folder with pyproject.toml" in texts[2]


def test_a_python_that_the_framework_was_not_tested_with() -> None:
    (text,) = said(Packages(python="3.8"), framework="tensorflow")
    assert "expected Python 3.9 to 3.11, with which tensorflow 2.15.1 was tested" in text


def test_an_unknown_version_is_one_problem() -> None:
    (text,) = said(Packages(), framework="tensorflow", version="2.3")
    assert text.startswith("framework.version")


def test_horovod_needs_a_compiler_and_a_framework(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(Packages(), framework="tensorflow", needs=HOROVOD) == []
    (text,) = said(Packages(), Facts(), framework="tensorflow", needs=HOROVOD)
    assert "a C++ compiler" in text
    assert "apt-get install g++ make" in text
    (text,) = said(Packages(), framework="sklearn", needs=HOROVOD)
    assert "framework=tensorflow or pytorch" in text
    monkeypatch.setenv("PATH", "/nonesuch")
    text, gpu = said(Packages(), framework="tensorflow", needs=HOROVOD, gpus=1)
    assert "expected make to build" in text
    assert "nvcc" in gpu


def test_conda_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(problems, "solver", lambda: "rattler")
    path = tmp_path / "environment.yaml"
    path.write_text("- none\n")
    texts = said(Packages(conda_packages=["a"], environment_file=str(path), python="/bin/python"))
    assert [text.split(":")[0] for text in texts] == [
        "environment.conda_packages",
        "environment.python",
        "environment.environment_file",
    ]
    monkeypatch.setattr(problems, "solver", lambda: None)
    (text,) = said(Packages(conda_packages=["a"]))
    assert "pip install py-rattler" in text


def test_the_controllers_of_the_horovod_that_will_be_built() -> None:
    packages = Packages()
    assert packages.horovod_controllers(FACTS) == ("mpi", "gloo")
    assert packages.horovod_controllers(Facts()) == ("gloo",)
    other = Mpi(mpirun="/m", flavour="mpich", version="4.1", compiler="/usr/bin/mpicxx")
    assert packages.horovod_controllers(Facts(mpi=other)) == ("gloo",)


def test_what_a_framework_and_a_distribution_bring(tmp_path: Path) -> None:
    packages = Packages(pip_packages=["six"])
    plain_recipe = choose_recipe(packages, request(), FACTS, tmp_path)
    assert plain_recipe.requirements == ("six",)
    assert plain_recipe.modules == ()
    mpi = choose_recipe(packages, request(needs=MPI4PY), FACTS, tmp_path)
    assert mpi.requirements == ("mpi4py", "six")
    assert mpi.mpi == "openmpi 4"
    assert mpi.modules == ("mpi4py",)
    horovod = choose_recipe(packages, request(framework="tensorflow", needs=HOROVOD), FACTS, tmp_path)
    assert horovod.requirements[0] == "tensorflow-cpu==2.15.1"
    assert horovod.modules == ("tensorflow", "horovod.tensorflow")
    assert horovod.horovod is not None
    variables = horovod.horovod.variables(tmp_path / "venv", tmp_path / "tmp", "/usr/bin")
    assert variables["HOROVOD_WITH_MPI"] == "1"
    assert variables["HOROVOD_WITH_TENSORFLOW"] == "1"
    assert variables["PATH"].startswith(f"{tmp_path}/venv/bin:/usr/bin:")
    gpu = choose_recipe(packages, request(framework="pytorch", needs=HOROVOD, gpus=2), Facts(), tmp_path)
    assert gpu.horovod is not None
    variables = gpu.horovod.variables(tmp_path / "venv", tmp_path / "tmp", "/usr/bin")
    assert variables["HOROVOD_GPU_OPERATIONS"] == "NCCL"
    assert variables["HOROVOD_WITHOUT_MPI"] == "1"
    assert "HOROVOD_WITHOUT_PYTORCH" not in variables
    assert len({digest(item.key()) for item in (plain_recipe, mpi, horovod, gpu)}) == 4


def test_every_build_of_pytorch_that_uv_knows_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for columns in ("20", "80", "1000"):
        monkeypatch.setenv("COLUMNS", columns)
        assert {"auto", "cpu", "xpu", "cu126", "rocm6.4"} <= set(torch_backends())
    for build in ("auto", "cu126", "rocm6.4"):
        assert said(Packages(torch_backend=build)) == []
    for wrong in ("cu199", "CPU"):
        [problem] = said(Packages(torch_backend=wrong))
        assert "cu126" in problem
    assert said(Packages(torch_backend="CPU"))[0].endswith("Did you mean cpu?")
