"""`environment=packages`: packages from an index or a conda channel, installed once and kept.

Every launch imports this module for its options. What builds with them is imported where it is used.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from launcher.capabilities import Traits
from launcher.environment.cache.folder import prepared
from launcher.environment.cache.image_names import REPOSITORY
from launcher.environment.package_options import PackageOptions
from launcher.environment.recipe.horovod import supports_mpi
from launcher.errors import BuildError
from launcher.paths import expand_home

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.capabilities import EnvironmentRequest
    from launcher.errors import Problem
    from launcher.facts import Facts, Mpi
    from launcher.spec import Prepared, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Packages(PackageOptions):
    """An environment of the named packages beside those that the framework brings."""

    kind: ClassVar[str] = "packages"

    @property
    def traits(self) -> Traits:
        """See `Environment.traits`."""
        return Traits(packages=True, base=self.base_image or "", image=f"{self.push or REPOSITORY}:KEY")

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
        from launcher.environment.recipe.choice import own_mpi

        return own_mpi(self)

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
        from launcher.environment.recipe.choice import choose_recipe

        recipe = choose_recipe(self, request, facts, cache, root=root)
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
