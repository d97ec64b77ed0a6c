"""`environment=packages`: packages from an index or a conda channel, installed once and kept.

Every launch imports this module for its options. What builds with them is imported where it is used.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from launcher.capabilities import Traits
from launcher.environment.cache.folder import prepared
from launcher.environment.cache.image_names import REPOSITORY
from launcher.environment.recipe.frameworks import choose
from launcher.environment.recipe.horovod import HorovodRequest, supports_mpi
from launcher.environment.recipe.indexes import has_own_places
from launcher.environment.recipe.interpreters import choose_interpreter
from launcher.environment.registry import Registry
from launcher.errors import BuildError
from launcher.paths import expand_home

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.capabilities import EnvironmentRequest
    from launcher.environment.recipe.key import Recipe
    from launcher.errors import Problem
    from launcher.facts import Facts, Mpi
    from launcher.spec import Prepared, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Packages:
    """An environment of the named packages beside those that the framework brings."""

    kind: ClassVar[str] = "packages"

    python: str | None = None
    """Version of Python, as `3.11`, or the path of an interpreter. By default the launcher's own where
    the framework was tested with it, else the newest on this machine that it was tested with."""
    pip_packages: list[str] = field(default_factory=list[str])
    """Requirements as pip takes them, `pandas>=2`, folders and archives of this machine included."""
    requirements_file: str | None = None
    """A file of such requirements."""
    conda_packages: list[str] = field(default_factory=list[str])
    """Match specs of conda, `numpy=1.26`. Python then comes from conda too."""
    environment_file: str | None = None
    """A conda environment file (YAML) with channels, dependencies and a pip section."""
    channels: list[str] = field(default_factory=lambda: ["conda-forge"])
    """Channels of conda: names or addresses, `file://` included."""
    torch_backend: str | None = None
    """Which builds of PyTorch uv takes: `cpu`, `cu126`, `auto`. By default `cpu` for a run without GPUs,
    but what the index has where pip or uv is told of places of its own."""
    skip_imports: list[str] = field(default_factory=list[str])
    """Packages that are not imported after the installation, by name; `*` for all that you asked for."""
    build_on: str = "submit"
    """Where it is built: `submit`, before the run is handed over, or `job`, on the run's first node."""
    stage: str = "shared"
    """Where nodes use it: `shared`, where it was built, or `node`, unpacked to a disk of their own."""
    base_image: str | None = None
    """With compute=docker, what the image begins with. null: the official image of a Python that the
    framework was tested with; for Horovod on GPUs, CUDA's image for developers."""
    apt_packages: list[str] = field(default_factory=list[str])
    """With compute=docker, packages of Debian or Ubuntu, `libgl1`."""
    dockerfile_lines: list[str] = field(default_factory=list[str])
    """With compute=docker, lines of a Dockerfile after them, `RUN useradd me`. Nothing of this machine can
    be copied by them."""
    push: str | None = None
    """With compute=docker, `registry/prefix`, where the image is pushed to, for other hosts to pull."""
    registry: Registry = field(default_factory=Registry)
    """With compute=docker, who pulls and pushes, where Docker's own configuration does not say so."""

    @property
    def traits(self) -> Traits:
        """See `Environment.traits`."""
        return Traits(packages=True, base=self.base_image or "", image=f"{self.push or REPOSITORY}:KEY")

    @property
    def conda(self) -> bool:
        """Whether conda brings Python and the first packages."""
        return bool(self.conda_packages) or self.environment_file is not None

    def located(self, base: Path) -> Packages:
        """Return these options with absolute paths; relative ones count from the project's root."""
        from launcher.environment.recipe.requirements import absolute

        paths = {
            name: str(base / expand_home(given, f"environment.{name}"))
            for name in ("requirements_file", "environment_file")
            if (given := getattr(self, name)) is not None
        }
        return replace(self, pip_packages=[absolute(line, base) for line in self.pip_packages], **paths)

    def pinned(self, packages: Iterable[str]) -> Packages:
        """See `Environment.pinned`. Packages with an address are installed from the options' own."""
        versions = [package for package in packages if "==" in package]
        return replace(self, pip_packages=[*self.pip_packages, *versions])

    def check(self, request: EnvironmentRequest, facts: Facts) -> Iterable[Problem]:
        """See `Environment.check`."""
        from launcher.environment.recipe.problems import problems

        return problems(self, request, facts)

    def describe(self, request: EnvironmentRequest, facts: Facts) -> Iterable[str]:
        """See `Environment.describe`."""
        from launcher.environment.describe_packages import host_lines, image_lines

        return (image_lines if request.target.images else host_lines)(self, request, facts)

    def horovod_controllers(self, facts: Facts) -> tuple[str, ...]:
        """See `Environment.horovod_controllers`."""
        return ("mpi", "gloo") if supports_mpi(facts.mpi) else ("gloo",)

    def own_mpi(self) -> Mpi | None:
        """See `Environment.own_mpi`."""
        from launcher.environment.recipe.bundled_mpi import bundled_mpi
        from launcher.environment.recipe.conda import EnvironmentFile
        from launcher.environment.recipe.requirements import read

        lines = [*self.pip_packages, *self.conda_packages]
        paths = [Path(self.requirements_file)] if self.requirements_file else []
        with suppress(OSError, ValueError):  # what is wrong with a file its check tells
            lines += read(paths).lines
            if self.environment_file is not None:
                listed = EnvironmentFile.read(Path(self.environment_file))
                lines += [*listed.packages, *listed.pip]
        return bundled_mpi(lines)

    def recipe(
        self,
        request: EnvironmentRequest,
        facts: Facts,
        cache: Path,
        *,
        on_host: bool = True,
        root: Path = Path("/"),
    ) -> Recipe:
        """Return everything that decides what the environment holds.

        Args:
            request: of the run.
            facts: of this machine.
            cache: where answers of interpreters are remembered.
            on_host: whether a Python of this machine runs it; else that of an image will.
            root: a folder that stands for `/`; copies of the files that these options name lie below it.

        Raises:
            BuildError: no interpreter on this machine serves.
        """
        from launcher.environment.recipe.conda import CondaRequest
        from launcher.environment.recipe.key import Recipe

        release, gpu = choose(request.framework), request.gpus
        horovod = None
        if request.needs.horovod and release is not None and release.horovod is not None:
            horovod = HorovodRequest.of(release, facts, gpu=gpu)
        brought = release.brings(gpu=gpu, horovod=horovod is not None) if release else ()
        mpi4py = request.needs.mpi4py
        span = release.python_range(horovod=horovod is not None) if release else None
        modules = (*(release.modules if release else ()), *(horovod.modules if horovod else ()))
        return Recipe(
            interpreter=choose_interpreter(self.python, span, cache) if on_host and not self.conda else None,
            requirements=(*brought, *(("mpi4py",) if mpi4py else ()), *self.pip_packages),
            files=(Path(self.requirements_file),) if self.requirements_file else (),
            root=root,
            skip_imports=tuple(self.skip_imports),
            conda=CondaRequest.of(self, span, root) if self.conda else None,
            modules=(*modules, "mpi4py") if mpi4py else modules,
            horovod=horovod,
            mpi=f"{facts.mpi.flavour} {facts.mpi.major}" if mpi4py and facts.mpi else None,
            gpu=gpu,
            torch_backend=self.torch_backend or _torch_backend(request),
            env=dict(release.horovod_env) if release and horovod else {},
        )

    def prepare(
        self,
        request: EnvironmentRequest,
        facts: Facts,
        cache: Path,
        progress: Progress,
        root: Path = Path("/"),
    ) -> Prepared:
        """See `Environment.prepare`; `root` as for `recipe`."""
        try:
            return self._prepare(request, facts, cache, progress, root)
        except OSError as error:  # a full disk, a cache that cannot be written
            hint = "LAUNCHER_CACHE names another folder for environments"
            raise BuildError(f"The environment could not be built in {cache}: {error}. {hint}") from error

    def _prepare(
        self, request: EnvironmentRequest, facts: Facts, cache: Path, progress: Progress, root: Path
    ) -> Prepared:
        if request.target.images:
            from launcher.environment.build.image_build import prepare

            return prepare(self, request, facts, cache, progress)
        from launcher.environment.build.deferred_build import defer
        from launcher.environment.cache import archive

        recipe = self.recipe(request, facts, cache, root=root)
        key = recipe.key()
        there = prepared(cache, key)
        packed = self.stage != "node" or (there is not None and archive.of(there) is not None)
        if self.build_on == "job" and request.deferrable and not (there is not None and packed):
            return defer(recipe, self._files(), facts, cache)
        if there is None:
            from launcher.environment.build.builder import build_once

            there = build_once(recipe, key, cache, progress)
        return archive.packed(there, cache, progress) if self.stage == "node" else there

    def _files(self) -> list[Path]:
        """Return the files that decide what is in it."""
        from launcher.environment.recipe.requirements import read

        paths = read([Path(self.requirements_file)]).files if self.requirements_file else []
        return [*paths, *([Path(self.environment_file)] if self.environment_file else [])]


def _torch_backend(request: EnvironmentRequest) -> str | None:
    """Return `cpu` where PyPI's own build would bring gigabytes of CUDA that the run cannot use."""
    wanted = request.framework.name == "pytorch" and not request.gpus
    return "cpu" if wanted and not has_own_places(os.environ) else None
