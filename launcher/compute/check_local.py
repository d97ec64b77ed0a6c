"""`launcher compute check` for this machine."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from launcher.capabilities import BAD, OK, WARN, Row
from launcher.compute.check_rows import background, writable
from launcher.compute.host import compiler, cpu_count, read_gpus, read_mpi
from launcher.paths import cache_root

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from launcher.facts import Mpi
    from launcher.spec import LaunchRequest, Resources

MPI_PACKAGES = "Debian: apt-get install openmpi-bin libopenmpi-dev"


def rows(request: LaunchRequest) -> Iterator[Row]:
    """Yield what this machine has."""
    spec = request.spec
    own = spec.environment.traits.own_python
    yield Row("python", OK, f"{sys.executable}, {'.'.join(map(str, sys.version_info[:3]))}")
    yield _cpus(spec.resources, cpu_count())
    yield _gpus(spec.resources, read_gpus())
    yield _mpirun(spec.environment.own_mpi() or read_mpi(current=own))
    found = compiler()
    if found:
        yield Row("compiler", OK, found)
    else:
        yield Row(
            "compiler", WARN, "none; Horovod is compiled here", "Debian: apt-get install g++ cmake make"
        )
    yield writable("store", request.store, "Choose another: store=DIR, or LAUNCHER_STORE")
    yield writable("cache", cache_root(), "Choose another: LAUNCHER_CACHE")
    yield background()
    if shutil.which("sbatch"):
        yield Row("slurm", OK, "there is a cluster here", "python -m launcher compute check compute=slurm")


def _cpus(resources: Resources, cpus: int) -> Row:
    wanted = resources.world_size * (resources.cpus_per_process or 1)
    found = f"{cpus} for this process"
    if wanted > cpus:
        return Row("CPUs", WARN, f"{found}, {wanted} asked for", "They are shared, and all is slower")
    return Row("CPUs", OK, found)


def _gpus(resources: Resources, gpus: Sequence[str]) -> Row:
    wanted = resources.nodes * resources.gpus_per_node
    found = f"{len(gpus)} ({', '.join(gpus)})" if gpus else "none"
    if wanted > len(gpus):
        return Row("GPUs", BAD, f"{found}, {wanted} asked for", "Try gpus_per_node=0; nvidia-smi tells more")
    return Row("GPUs", OK, found)


def _mpirun(mpi: Mpi | None) -> Row:
    if mpi is None:
        return Row("mpirun", WARN, "none; distribution=mpi needs it", MPI_PACKAGES)
    found = f"{mpi.mpirun}, {mpi.flavour} {mpi.version}"
    if mpi.compiler is None:
        return Row("mpirun", WARN, f"{found}, no mpicxx: no Horovod over MPI", MPI_PACKAGES)
    return Row("mpirun", OK, found)
