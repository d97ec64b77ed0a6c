"""`environment=packages` with compute=docker: an image of the same packages, built once, kept by content.

Layers, so that what changes often comes last: the base, Debian packages, the user's own lines, then what
conda, uv and Horovod bring, installed by the same code as on this machine, in a container that becomes the
image. Caches, indexes and their credentials are lent to that container and are in no layer.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.engine import images, shelf
from launcher.engine.client import connect
from launcher.engine.look import look
from launcher.engine.made import BUILD
from launcher.engine.workbench import build
from launcher.environment.build import uv
from launcher.environment.build.builder import Build
from launcher.environment.build.conda_install import check_visible
from launcher.environment.build.container_tools import (
    compile_container,
    install_container,
    install_paths,
    python_of,
)
from launcher.environment.cache.folder import KEY_LENGTH, entry_of
from launcher.environment.cache.image_names import LABEL, LAYERS, REPOSITORY
from launcher.environment.recipe.choice import choose_recipe, own_mpi
from launcher.environment.recipe.frameworks import choose
from launcher.environment.recipe.interpreters import interpreter_of, span_text, version_numbers, within
from launcher.environment.recipe.key import Recipe, digest, machine
from launcher.environment.registry import login_of
from launcher.errors import BuildError, EngineError
from launcher.spec import Prepared
from launcher.store.lease import Lease

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from launcher.capabilities import EnvironmentRequest
    from launcher.engine.images import Login
    from launcher.engine.look import Inside
    from launcher.environment.build.container_tools import ContainerTools
    from launcher.environment.build.horovod_build import BuildHost
    from launcher.environment.package_options import PackageOptions
    from launcher.environment.recipe.interpreters import Interpreter
    from launcher.facts import Facts
    from launcher.spec import Progress

DEFAULT_BASE = "python:3.11-slim-bookworm"
GPU_HOROVOD_BASE = "nvidia/cuda:12.4.1-cudnn-devel-ubuntu22.04"
"""Where Horovod is compiled for GPUs: that takes nvcc. Its Python is 3.10."""

MPI_PACKAGES = ("openmpi-bin",)
HOROVOD_PACKAGES = ("cmake", "g++", "libopenmpi-dev", "make", "python3-dev")
"""Debian's, to compile Horovod; they are not in the image that runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an image is made of."""

    base: images.Image
    apt: tuple[str, ...]
    lines: tuple[str, ...]
    recipe: Recipe
    """Its interpreter is found once the layers below are there."""

    @property
    def key(self) -> str:
        """Content hash of everything that decides what is in it."""
        return self.recipe.key()

    def dockerfile(self, more: Sequence[str] = ()) -> str:
        """Return the layers below the packages, with further Debian packages on top."""
        return "\n".join([*layers(self.base.id, self.apt, self.lines), *([_apt(more)] if more else []), ""])


def layers(base: str, apt: Sequence[str], lines: Sequence[str]) -> list[str]:
    """Return the Dockerfile of what is below the packages, as lines."""
    return [f"FROM {base}", f"LABEL {BUILD}=1", "USER root", *([_apt(apt)] if apt else []), *lines]


def _apt(packages: Sequence[str]) -> str:
    names = " ".join(sorted(packages))
    install = f"apt-get install -y --no-install-recommends {names}"
    return f"RUN apt-get update && DEBIAN_FRONTEND=noninteractive {install} && rm -rf /var/lib/apt/lists/*"


def prepare(
    options: PackageOptions, request: EnvironmentRequest, facts: Facts, cache: Path, progress: Progress
) -> Prepared:
    """Build the image of these packages, or find it built.

    Raises:
        BuildError: with the last lines of what failed.
        EngineError: the engine cannot be reached, or a registry refuses.
    """
    login = login_of(options.registry)
    base = images.ensure(base_of(options, request), request.target.pull, login, progress)
    client = connect(timeout_s=600)
    try:
        maker = _Maker(
            client, options, _plan(options, request, facts, base, client, cache), request, cache, progress
        )
        made = maker.once(login)
        entry_of(cache, made.key).use()
        return made
    finally:
        client.close()


def base_of(options: PackageOptions, request: EnvironmentRequest) -> str:
    """Return the name of the image that it begins with."""
    if options.base_image is not None:
        return options.base_image
    if request.needs.horovod and request.gpus:
        return GPU_HOROVOD_BASE
    return DEFAULT_BASE if options.python is None else f"python:{options.python}-slim-bookworm"


def uses_mpi(options: PackageOptions, request: EnvironmentRequest, facts: Facts) -> bool:
    """Tell whether the image has to have an mpirun that its packages do not bring."""
    return facts.mpi is not None and request.needs.mpi and own_mpi(options) is None


def _plan(  # noqa: PLR0913, PLR0917  # all that decides
    options: PackageOptions,
    request: EnvironmentRequest,
    facts: Facts,
    base: images.Image,
    client: Any,
    cache: Path,
) -> Plan:
    apt = set(options.apt_packages)
    if uses_mpi(options, request, facts) and "mpirun" not in look(client, base.id, cache).programs:
        apt |= set(MPI_PACKAGES)
    below = {
        "base": base.reference,
        "apt": sorted(apt),
        "lines": list(options.dockerfile_lines),
        "python": options.python,
    }
    here = machine()
    recipe = choose_recipe(options, request, replace(facts, cxx=None), cache, on_host=False)
    recipe = replace(recipe, machine={"machine": here["machine"]}, image=below)
    return Plan(base=base, apt=tuple(sorted(apt)), lines=tuple(options.dockerfile_lines), recipe=recipe)


@dataclass(frozen=True, slots=True)
class _Maker:
    """One image on its way."""

    client: Any
    options: PackageOptions
    plan: Plan
    request: EnvironmentRequest
    cache: Path
    progress: Progress

    @property
    def tag(self) -> str:
        return f"{self.options.push or REPOSITORY}:{self.plan.key[:KEY_LENGTH]}"

    @property
    def log(self) -> Path:
        return entry_of(self.cache, self.plan.key).log

    def once(self, login: Login | None) -> Prepared:
        """Return the image, built unless it exists."""

        def make() -> Prepared:
            if not (self.options.push and self._pulled(login)):
                self._build()
                if self.options.push:
                    images.push(self.client, self.tag, login, self.progress)
            built = self._find()
            if built is None:
                raise BuildError(f"The image {self.tag} was removed right after its build. Launch again")
            return built

        return Lease(self.cache / "leases", f"image-{self.plan.key[:KEY_LENGTH]}").once(
            self._find, make, self.progress.step, "Waiting for another launch that builds this image"
        )

    def _find(self) -> Prepared | None:
        found = images.find(self.client, self.tag)
        if found is None:
            return None
        labels: Mapping[str, str] = shelf.config(self.client, found.id).get("Labels") or {}
        known: dict[str, Any] = json.loads(labels[LABEL])
        return Prepared(
            key=self.plan.key, python=known["python"], prefix="", env=known["env"],
            packages=tuple(known["packages"]), image=found.reference,
        )  # fmt: skip

    def _pulled(self, login: Login | None) -> bool:
        """Tell whether another host has pushed it."""
        try:
            images.pull(self.client, self.tag, login, self.progress)
        except EngineError as error:
            if "manifest unknown" in str(error) or "not found" in str(error):
                return False
            raise
        return True

    def _build(self) -> None:
        begin = time.monotonic()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_text("", encoding="utf-8")
        below = self._layers(())
        inside = look(self.client, below, self.cache)
        work = entry_of(self.cache, self.plan.key).root / "work"
        work.mkdir(exist_ok=True)
        lent = install_paths(self.plan.recipe, self.cache)
        with install_container(self.client, below, inside, work, lent, self.log) as tools:
            recipe = self._conda(tools, inside)
            built = Build(
                recipe=recipe, folder=work, tools=tools, cache=self.cache, progress=self.progress,
                system=True, horovod_place=self._horovod_place,
            )  # fmt: skip
            python = Path(recipe.interpreter.path) if recipe.interpreter else Path("python3")
            archives = built.install(python)
            packages = uv.frozen(python, tools, archives) if recipe.interpreter else ()
            built.try_imports(python, packages)
            known = {"python": str(python), "env": dict(recipe.env), "packages": list(packages),
                     "key": self.plan.key, "base": self.plan.base.reference,
                     "wants": [*recipe.summary(), *self.plan.apt],
                     "build_s": round(time.monotonic() - begin, 1)}  # fmt: skip
            self.progress.step("Keeping the image", 0.95)
            config = shelf.config(self.client, self.plan.base.id)
            tools.bench.commit(self.tag, {LABEL: json.dumps(known)}, config)

    def _layers(self, more: Sequence[str]) -> str:
        """Build the layers below the packages; return the id of the image."""
        if not (self.plan.apt or self.plan.lines or more):
            return self.plan.base.id
        text = self.plan.dockerfile(more)
        step = self.progress.step
        with self.log.open("a", encoding="utf-8", errors="surrogateescape") as log:

            def hear(line: str) -> None:
                log.write(line + "\n")
                log.flush()
                if line.startswith("Step "):
                    step(line[:100], 0.1)

            log.write(text)
            try:
                return build(self.client, text, f"{LAYERS}:{digest(text)[:KEY_LENGTH]}", hear)
            except EngineError as error:
                log.write(f"{error}\n")
                raise BuildError(f"The image could not be built: {error}{_tail(self.log)}") from error

    def _conda(self, tools: ContainerTools, inside: Inside) -> Recipe:
        """Install what conda is asked for; return the recipe with the Python that is there now."""
        recipe = self.plan.recipe
        if recipe.conda is not None:
            tools_there = [name for name in ("micromamba", "mamba", "conda") if name in inside.programs]
            tool = inside.programs[tools_there[0]] if tools_there else None
            if tool is None:
                raise BuildError(
                    f"environment.conda_packages: the image {self.plan.base.reference} has neither conda nor "
                    "micromamba. Give environment.base_image one that has"
                )
            check_visible([*recipe.conda.packages, *recipe.conda.channels], tool)
            self.progress.step("Installing conda packages", 0.2)
            channels = [word for channel in recipe.conda.channels for word in ("--channel", channel)]
            argv = [tool, "install", "--yes", "--name", "base", "--override-channels", *channels]
            tools.run([*argv, *recipe.conda.packages], "Installing conda packages")
            inside = replace(inside, python=python_of(tools))
        needs = recipe.requirements or recipe.files or recipe.horovod or (recipe.conda and recipe.conda.pip)
        if inside.python is None:
            if not needs:
                return recipe
            raise BuildError(
                f"environment: the image {self.plan.base.reference} has no python3 to install packages into. "
                "Try environment.apt_packages=[python3]"
            )
        interpreter = interpreter_of(inside.python)
        self._check_version(interpreter)
        return replace(recipe, interpreter=interpreter, machine={**machine(), "libc": inside.python["libc"]})

    def _check_version(self, interpreter: Interpreter) -> None:
        release = choose(self.request.framework)
        if release is None:
            return
        span = release.python_range(horovod=self.plan.recipe.horovod is not None)
        if not within(version_numbers(interpreter.version), span):
            raise BuildError(
                f"environment.base_image: {self.plan.base.reference} has Python {interpreter.version}; "
                f"{release.framework} {release.version} was tested with {span_text(span)}"
            )

    def _horovod_place(self, wheels: Path) -> AbstractContextManager[BuildHost]:
        """Give a container with compilers, in which the user of this process writes to the cache."""
        below = self._layers([] if self.plan.recipe.gpu else HOROVOD_PACKAGES)
        inside = look(self.client, below, self.cache)
        assert inside.python is not None, "looked at before"  # noqa: S101
        return compile_container(self.client, below, inside, wheels)


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
    return "\n" + "\n".join(f"  | {line[:300]}" for line in lines) + f"\nThe whole log: {log}"
