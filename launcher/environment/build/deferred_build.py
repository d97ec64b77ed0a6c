"""What a job is told that has to build its environment itself (`build_on: job`)."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any, TypeVar

import launcher
from launcher.environment.package_options import PackageOptions
from launcher.environment.recipe.local_packages import contents
from launcher.errors import BuildError
from launcher.facts import Facts, Mpi
from launcher.secrets import conceal, fill, named
from launcher.spec import Prepared, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from launcher.environment.recipe.key import Recipe


Options = TypeVar("Options", bound=PackageOptions)


def defer(recipe: Recipe, files: Iterable[Path], facts: Facts, cache: Path) -> Prepared:
    """Return an environment that does not exist yet, with all that its build depends on.

    The files are frozen with it, as the source is: changes while the run is queued have no effect. Local
    packages stay where they are, with their hashes. Credentials travel as secrets.
    """
    texts = {str(path): path.read_bytes().decode("utf-8", "surrogateescape") for path in files}
    texts = {path: conceal(text) for path, text in texts.items()}
    conda = recipe.conda
    lines = [*recipe.requirements, *((*conda.packages, *conda.channels, *conda.pip) if conda else ())]
    build: dict[str, Any] = {
        "python": sys.executable,
        "code": str(Path(launcher.__file__).parents[1]),
        "cache": str(cache),
        "mpi": plain(facts.mpi),
        "files": texts,
        "secrets": named([*lines, *texts.values()]),
        "local": contents(recipe.local_packages()),
    }
    return Prepared(key=recipe.key(), python="", prefix="", build=build)


def facts_of(build: Mapping[str, Any]) -> Facts:
    """Return what the environment depends on: the MPI of the plan, and the compiler of this node."""
    mpi = build["mpi"]
    return Facts(mpi=Mpi(**mpi) if mpi else None, cxx=which("g++") or which("c++"))


def restore(options: Options, build: Mapping[str, Any], folder: Path) -> Options:
    """Write the frozen files into a private folder, and return options that build from them here and now.

    Raises:
        BuildError: a local package is not what it was at submit.
        ConfigError: a credential of the files did not come here.
    """
    local: dict[str, str] = build.get("local", {})
    for path, found in contents(map(Path, local)).items():
        if found != local[path]:
            raise BuildError(f"{path} was changed after the run was submitted. Launch again")
    for path, text in build["files"].items():
        target = folder / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch(mode=0o600)  # it may hold credentials
        target.write_bytes(fill(text).encode("utf-8", "surrogateescape"))
    paths = {
        name: str(folder / given.lstrip("/"))
        for name in ("requirements_file", "environment_file")
        if (given := getattr(options, name)) is not None
    }
    return replace(options, **paths)
