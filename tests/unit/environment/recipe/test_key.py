"""The key of an environment: the same for the same things, another for anything else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.environment.recipe.conda import CondaRequest
from launcher.environment.recipe.frameworks import releases
from launcher.environment.recipe.horovod import HorovodRequest
from launcher.environment.recipe.interpreters import Interpreter
from launcher.environment.recipe.key import Recipe, normalised
from launcher.facts import Facts, Mpi

if TYPE_CHECKING:
    from pathlib import Path

PYTHON = Interpreter(path="/a/python", version="3.11.7", implementation="cpython", abi="cpython-311")
MPI = Mpi(mpirun="/usr/bin/mpirun", flavour="openmpi", version="4.1.4", compiler="/usr/bin/mpicxx")


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ("Six", "six"),
        (" six >= 1 , <2", "six>=1,<2"),
        ("zope.interface", "zope-interface"),
        ("Foo_Bar[a, b]==1", "foo-bar[a,b]==1"),
        ("six; python_version < '3.12'", "six; python_version < '3.12'"),
        ("git+https://host.example/a.git", "git+https://host.example/a.git"),
        ("./Some/Path.whl", "./Some/Path.whl"),
    ],
)
def test_normalised(given: str, same: str) -> None:
    assert normalised(given) == same


@given(st.permutations(["six", "Attrs>=1", "pandas [excel]", "six"]))
def test_order_and_spelling_do_not_matter(lines: list[str]) -> None:
    one = Recipe(interpreter=PYTHON, requirements=tuple(lines))
    other = Recipe(interpreter=PYTHON, requirements=("attrs >= 1", "pandas[excel]", "SIX"))
    assert one.key() == other.key()


def test_everything_else_matters(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("six\n")
    release = releases("tensorflow")[0]
    base = Recipe(interpreter=PYTHON)
    wish = HorovodRequest.of(release, Facts(mpi=MPI), gpu=False)
    recipes = [
        base,
        replace(base, interpreter=replace(PYTHON, path="/b/python")),
        replace(base, requirements=("six",)),
        replace(base, requirements=("six<2",)),
        replace(base, interpreter=replace(PYTHON, version="3.11.8")),
        replace(base, interpreter=replace(PYTHON, implementation="pypy")),
        replace(base, files=(file,)),
        replace(base, modules=("six",)),
        replace(base, gpu=True),
        replace(base, mpi="openmpi 4"),
        replace(base, mpi="openmpi 5"),
        replace(base, torch_backend="cpu"),
        replace(base, env={"A": "1"}),
        replace(base, horovod=wish),
        replace(base, horovod=replace(wish, mpi=None)),
        replace(base, horovod=replace(wish, gpu=True)),
        replace(base, conda=CondaRequest(packages=("python",), channels=("a",))),
        replace(base, conda=CondaRequest(packages=("python",), channels=("b",))),
    ]
    assert len({recipe.key() for recipe in recipes}) == len(recipes)


def test_the_compiler_does_not_matter() -> None:
    release = releases("tensorflow")[0]
    keys = {
        Recipe(
            interpreter=PYTHON, horovod=HorovodRequest.of(release, Facts(mpi=MPI, cxx=cxx), gpu=False)
        ).key()
        for cxx in ("/usr/bin/g++", "/usr/bin/clang++")
    }
    assert len(keys) == 1


def test_the_content_of_files_matters_with_those_that_they_include(tmp_path: Path) -> None:
    outer, inner = tmp_path / "outer.txt", tmp_path / "inner.txt"
    outer.write_text("-r inner.txt\n-c nonesuch.txt\n-r https://host.example/x.txt\nsix\n")
    inner.write_text("-r outer.txt\nattrs\n")
    recipe = Recipe(interpreter=PYTHON, files=(outer,))
    before = recipe.key()
    assert recipe.listed().files == [outer, inner]
    inner.write_text("-r outer.txt\nattrs<22\n")
    assert recipe.key() != before


def test_the_content_of_a_local_archive_matters(tmp_path: Path) -> None:
    wheel = tmp_path / "a-1-py3-none-any.whl"
    wheel.write_bytes(b"one")
    recipe = Recipe(interpreter=PYTHON, requirements=(f"a @ {wheel.as_uri()}",))
    before = recipe.key()
    wheel.write_bytes(b"two")
    assert recipe.key() != before


@pytest.mark.parametrize("place", ["requirements", "file", "conda"])
def test_the_content_of_a_local_folder_matters(tmp_path: Path, place: str) -> None:
    package, file = tmp_path / "pkgx", tmp_path / "requirements.txt"
    package.mkdir()
    (package / "setup.py").write_text("one")
    recipe = Recipe(interpreter=PYTHON)
    if place == "requirements":
        recipe = replace(recipe, requirements=(str(package),))
    elif place == "file":
        file.write_text("-e ./pkgx\n")
        recipe = replace(recipe, files=(file,))
    else:
        wish = CondaRequest(packages=("python",), channels=("a",), pip=(str(package),))
        recipe = replace(recipe, conda=wish)
    before = recipe.key()
    assert recipe.local_packages() == [package]
    (package / "setup.py").write_text("two")
    assert recipe.key() != before
