"""What `environment=packages` is made of: the recipe that its options and the framework give."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.environment.recipe.bundled_mpi import bundled_mpi
from launcher.environment.recipe.conda import CondaRequest, EnvironmentFile
from launcher.environment.recipe.frameworks import choose
from launcher.environment.recipe.horovod import HorovodRequest
from launcher.environment.recipe.indexes import has_own_places
from launcher.environment.recipe.interpreters import choose_interpreter
from launcher.environment.recipe.key import Recipe
from launcher.environment.recipe.requirements import read

if TYPE_CHECKING:
    from launcher.capabilities import EnvironmentRequest
    from launcher.environment.package_options import PackageOptions
    from launcher.facts import Facts, Mpi


def own_mpi(options: PackageOptions) -> Mpi | None:
    """Return the MPI that comes with these packages, None where none does."""
    lines = [*options.pip_packages, *options.conda_packages]
    paths = [Path(options.requirements_file)] if options.requirements_file else []
    with suppress(OSError, ValueError):  # what is wrong with a file its check tells
        lines += read(paths).lines
        if options.environment_file is not None:
            listed = EnvironmentFile.read(Path(options.environment_file))
            lines += [*listed.packages, *listed.pip]
    return bundled_mpi(lines)


def choose_recipe(  # noqa: PLR0913  # three who decide, and where they look
    options: PackageOptions,
    request: EnvironmentRequest,
    facts: Facts,
    cache: Path,
    *,
    on_host: bool = True,
    root: Path = Path("/"),
) -> Recipe:
    """Return everything that decides what the environment holds.

    Args:
        options: of the environment.
        request: of the run.
        facts: of this machine.
        cache: where answers of interpreters are remembered.
        on_host: whether a Python of this machine runs it; else that of an image will.
        root: a folder that stands for `/`; copies of the files that these options name lie below it.

    Raises:
        BuildError: no interpreter on this machine serves.
    """
    release, gpu = choose(request.framework), request.gpus
    horovod = None
    if request.needs.horovod and release is not None and release.horovod is not None:
        horovod = HorovodRequest.of(release, facts, gpu=gpu)
    brought = release.brings(gpu=gpu, horovod=horovod is not None) if release else ()
    mpi4py = request.needs.mpi4py
    span = release.python_range(horovod=horovod is not None) if release else None
    modules = (*(release.modules if release else ()), *(horovod.modules if horovod else ()))
    return Recipe(
        interpreter=choose_interpreter(options.python, span, cache)
        if on_host and not options.conda
        else None,
        requirements=(*brought, *(("mpi4py",) if mpi4py else ()), *options.pip_packages),
        files=(Path(options.requirements_file),) if options.requirements_file else (),
        root=root,
        skip_imports=tuple(options.skip_imports),
        conda=CondaRequest.of(options, span, root) if options.conda else None,
        modules=(*modules, "mpi4py") if mpi4py else modules,
        horovod=horovod,
        mpi=f"{facts.mpi.flavour} {facts.mpi.major}" if mpi4py and facts.mpi else None,
        gpu=gpu,
        torch_backend=options.torch_backend or _torch_backend(request),
        env=dict(release.horovod_env) if release and horovod else {},
    )


def _torch_backend(request: EnvironmentRequest) -> str | None:
    """Return `cpu` where PyPI's own build would bring gigabytes of CUDA that the run cannot use."""
    wanted = request.framework.name == "pytorch" and not request.gpus
    return "cpu" if wanted and not has_own_places(os.environ) else None
