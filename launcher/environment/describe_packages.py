"""What a dry run tells of `environment=packages`: on this machine, or as an image."""

from __future__ import annotations

import shlex
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from launcher.credentials import hide
from launcher.environment.cache.folder import entry_of
from launcher.environment.cache.image_names import REPOSITORY
from launcher.environment.recipe.choice import choose_recipe
from launcher.paths import cache_root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.capabilities import EnvironmentRequest
    from launcher.environment.package_options import PackageOptions
    from launcher.facts import Facts

PULL: Final = {"missing": "pulled if it is missing", "always": "pulled", "never": "not pulled"}


def host_lines(options: PackageOptions, request: EnvironmentRequest, facts: Facts) -> Iterator[str]:
    """Yield Python and packages of an environment of this machine, and whether it has been built."""
    with tempfile.TemporaryDirectory() as folder:  # remembers what interpreters answer; no more is touched
        recipe = choose_recipe(options, request, facts, Path(folder))
    if recipe.interpreter is None:
        yield f"python        {options.python or 'the version that the packages ask for'}, from conda"
    else:
        yield f"python        {shlex.quote(recipe.interpreter.path)}, {recipe.interpreter.version}"
    yield f"packages      {shlex.join(recipe.summary()) or 'none'}"
    there = entry_of(cache_root(), recipe.key()).prepared()
    where = "by its job" if options.build_on == "job" else "before the run is handed over"
    yield f"built         {shlex.quote(there.prefix) if there is not None else f'no: to be built {where}'}"


def image_lines(options: PackageOptions, request: EnvironmentRequest, facts: Facts) -> Iterator[str]:
    """Yield where the image comes from, and what is built into it."""
    from launcher.environment.build.image_build import MPI_PACKAGES, base_of, layers, uses_mpi  # noqa: PLC0415

    name, pulled = f"{options.push or REPOSITORY}:KEY", PULL[request.target.pull]
    apt = {*options.apt_packages, *(MPI_PACKAGES if uses_mpi(options, request, facts) else ())}
    yield f"image         {name}, built unless it is there; its base image is {pulled}"
    base = base_of(options, request)
    yield from (f"  {hide(line)}" for line in layers(base, sorted(apt), options.dockerfile_lines))
    if apt - set(options.apt_packages):
        yield f"  # {' '.join(MPI_PACKAGES)} only if the base image has no mpirun"
    yield from _installed(options, request, facts)
    if options.push:
        yield "pulled from its registry instead if it is there, else pushed"
        yield f"  docker push {name}"


def _installed(options: PackageOptions, request: EnvironmentRequest, facts: Facts) -> Iterator[str]:
    """Yield what is installed on top, and tried."""
    from launcher.environment.build.image_build import HOROVOD_PACKAGES  # noqa: PLC0415

    recipe = choose_recipe(options, request, replace(facts, cxx=None), cache_root(), on_host=False)
    conda, lines, argv = recipe.conda, [*recipe.requirements], ["uv", "pip", "install", "--python", "python3"]
    if recipe.horovod is not None:
        lines.append(f"horovod=={recipe.horovod.release.horovod}")
    if conda is not None or lines or recipe.files:
        yield "installed in a container of it, which becomes the image"
    if conda is not None:
        lines += conda.pip
        channels = [word for channel in conda.channels for word in ("--channel", channel)]
        yield f"  {hide(shlex.join(['conda', 'install', *channels, *conda.packages]))}"
    argv += ["--torch-backend", recipe.torch_backend] if recipe.torch_backend else []
    files = [word for path in recipe.files for word in ("-r", str(path))]
    if lines or files:
        yield f"  {hide(shlex.join([*argv, *lines, *files]))}"
    if recipe.horovod is not None:
        more = "" if recipe.gpu else f", with {' '.join(HOROVOD_PACKAGES)}"
        yield f"  # horovod is compiled in another container{more}, unless its wheel is kept"
    if recipe.modules:
        yield f"  python3 -c {shlex.quote('import ' + ', '.join(recipe.modules))}"
