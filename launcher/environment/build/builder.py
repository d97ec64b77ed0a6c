"""Build an environment once, whatever happens meanwhile, and find it again at once."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.agent.base import atomic_json
from launcher.environment.build import conda_install, uv
from launcher.environment.build.horovod_build import BuildHost, ensure_wheel
from launcher.environment.build.tools import Tools
from launcher.environment.cache.folder import KEY_LENGTH, CachedEnvironment, bytes_of, entry_of
from launcher.environment.recipe import conda
from launcher.environment.recipe.interpreters import describe
from launcher.environment.recipe.local_packages import pack_folders
from launcher.environment.recipe.requirements import name_of
from launcher.errors import BuildError
from launcher.spec import Prepared
from launcher.store.lease import Lease

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from launcher.environment.build.horovod_build import BuildHostOf
    from launcher.environment.build.tools import Listener
    from launcher.environment.recipe.interpreters import Interpreter
    from launcher.environment.recipe.key import Recipe
    from launcher.spec import Progress

_IMPORT_CHECK = Path(__file__).with_name("import_check.py")
IMPORT_S = 600
"""Seconds that all imports may take together."""
_SKIP = "environment.skip_imports leaves packages out of this check"
_HINT = "Look at environment.pip_packages, environment.requirements_file and framework.version"


def build_once(recipe: Recipe, key: str, cache: Path, progress: Progress) -> Prepared:
    """Build the environment of a recipe, or wait for whoever builds it already.

    Raises:
        BuildError: with the last lines of the tool that failed.
    """
    place = entry_of(cache, key)
    return Lease(cache / "leases", f"environment-{key[:KEY_LENGTH]}").once(
        place.prepared,
        lambda: place.settled() or _build(recipe, key, place, cache, progress),
        progress.step,
        "Waiting for another launch that builds this environment",
    )


def _build(recipe: Recipe, key: str, place: CachedEnvironment, cache: Path, progress: Progress) -> Prepared:
    begin = time.monotonic()
    damage = place.damage()
    if damage:
        progress.step(f"Building again what the cache has lost: {damage}")
    place.root.mkdir(parents=True, exist_ok=True)
    if place.leftovers():
        progress.step("Clearing away what an unfinished build left", 0.01)  # seconds, where it was large
        place.sweep()
    for old in (place.ready, place.log):
        atomic_json.remove(str(old))
    prefix = place.root / uuid.uuid4().hex[:8]
    build = Build(recipe=recipe, folder=prefix, tools=Tools(log=place.log), cache=cache, progress=progress)
    try:
        python = _bare(build)
        archives = build.install(python)
        packages = uv.frozen(python, build.tools, archives)
        build.try_imports(python, packages)
    except BaseException:
        shutil.rmtree(prefix, ignore_errors=True)
        raise
    env = {**recipe.env, **_variables(build)}
    prepared = Prepared(key=key, python=str(python), prefix=str(prefix), env=env, packages=packages)
    took = round(time.monotonic() - begin, 1)
    done = place.finish(prepared, {"build_s": took, "wants": recipe.summary(), "bytes": bytes_of(prefix)})
    if done.prefix != str(prefix):
        shutil.rmtree(prefix, ignore_errors=True)
    return done


def _bare(build: Build) -> Path:
    """Make an environment with nothing of the index in it; return its interpreter."""
    recipe = build.recipe
    if recipe.conda is not None:
        return conda_install.install(recipe.conda, build.folder, build.tools, build.cache, build.progress)
    if recipe.interpreter is None:
        raise BuildError("environment.python: nothing brings a Python")
    build.progress.step(f"Creating an environment with Python {recipe.interpreter.version}", 0.02)
    return uv.venv(recipe.interpreter.path, build.folder, build.tools)


def _variables(build: Build) -> dict[str, str]:
    """Return the variables that processes in an environment need."""
    if build.recipe.conda is None:
        return {"VIRTUAL_ENV": str(build.folder)}
    return {"CONDA_PREFIX": str(build.folder), "PYTHONNOUSERSITE": "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """Installs what a recipe wants into a Python, here or in a container."""

    recipe: Recipe
    folder: Path
    """Where commands run and their files are written."""
    tools: Tools
    cache: Path
    progress: Progress
    system: bool = False
    """Whether the Python is that of a system, which is changed."""
    horovod_place: BuildHostOf | None = None
    """Where Horovod is built, given a folder that has to be there; None: as everything else."""

    def install(self, python: Path) -> dict[Path, Path]:
        """Install what the framework brings and what the user named, in one resolution.

        Returns:
            the archives that packages in folders were installed from, each with its folder.
        """
        recipe = self.recipe
        lines = list(recipe.requirements)
        overrides: tuple[str, ...] = ()
        if recipe.horovod is not None:
            known = recipe.interpreter or describe(str(python), self.cache)
            place_of = self.horovod_place or partial(_this_host, known, self.tools)
            wheel = ensure_wheel(recipe.horovod, recipe.machine, known, self.cache, self.progress, place_of)
            lines.append(f"horovod @ {wheel.as_uri()}")
            overrides = recipe.horovod.release.overrides(gpu=recipe.gpu)
        if recipe.conda is not None:
            lines += recipe.conda.pip
        listed = recipe.listed()
        lines, archives = pack_folders([*lines, *listed.lines], self.folder)
        try:
            if lines:
                wanted = uv.InstallRequest(
                    lines=tuple(lines), constraints=tuple(listed.constraints), overrides=overrides,
                    torch_backend=recipe.torch_backend, folder=self.folder, system=self.system,
                )  # fmt: skip
                uv.install(wanted, python, self.tools, hear=self._listener(), hint=_HINT)
        finally:
            for archive in archives:
                archive.unlink(missing_ok=True)
        return archives

    def _listener(self) -> Listener:
        """Tell uv's output as progress."""
        step = self.progress.step
        step("Resolving packages", 0.55)
        stages = {
            "Resolved": ("Downloading", 0.6),
            "Prepared": ("Installing", 0.75),
            "Installed": ("Installed", 0.85),
        }

        def hear(line: str) -> None:
            match = re.match(r"(Resolved|Prepared|Installed) (\d+ packages?)", line)
            if match:
                verb, done = stages[match.group(1)]
                step(f"{verb} {match.group(2)}", done)
            elif line.lstrip().startswith(("Downloading ", "Building ")):
                step(line.strip(), 0.65)

        return hear

    def try_imports(self, python: Path, packages: Sequence[str]) -> None:
        """Import what the environment is for and what was asked for: ready means that this ran.

        `packages` are those that are installed, as `name==version`.
        """
        recipe = self.recipe
        lines = [*recipe.requirements, *recipe.listed().lines, *(recipe.conda.pip if recipe.conda else ())]
        request = {
            "modules": ["mpi4py.MPI" if module == "mpi4py" else module for module in recipe.modules],
            "distributions": [name for line in lines if (name := name_of(line))],
            "conda": [conda.name_of(spec) for spec in recipe.conda.packages] if recipe.conda else [],
            "addresses": any(not name_of(line) for line in lines),
            "skip": recipe.skip_imports,
            "limit_s": IMPORT_S,
        }
        self.progress.step("Importing the packages", 0.9)
        script = self.folder / f"{uuid.uuid4().hex}.py"
        shutil.copyfile(_IMPORT_CHECK, script)
        hint = f"A package was installed, but cannot be imported. {torch_hint(packages)}{_SKIP}"
        tools = self.tools.beside(env=dict(recipe.env))
        try:
            argv = [str(python), "-I", str(script), json.dumps(request)]
            tools.run(argv, "Importing the packages", cwd=self.folder, hint=hint)
        finally:
            script.unlink(missing_ok=True)


def torch_hint(packages: Sequence[str]) -> str:
    """Return what to do about packages of PyTorch that come from different places."""
    versions = [word.split("==") for word in packages if re.match(r"torch(vision|audio)?==", word)]
    if len({version.partition("+")[2] for _, version in versions}) < 2:  # noqa: PLR2004  # two builds
        return ""
    found = " and ".join(" ".join(word) for word in versions)
    return f"{found} are different builds: take all from one index, such as by environment.torch_backend. "


@contextmanager
def _this_host(interpreter: Interpreter, tools: Tools, folder: Path) -> Generator[BuildHost]:
    """Give this machine as the place to build Horovod."""
    del folder
    yield BuildHost(interpreter=interpreter, tools=tools, path=os.environ.get("PATH", os.defpath))
