"""`launcher compute check` for this machine."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.cli.compute_rows import BAD, OK, WARN, Row, background, writable
from launcher.distribution.mpi import MpiRun
from launcher.paths import cache_root
from launcher.probe import probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.spec import Facts, LaunchRequest, Resources

MPI_PACKAGES = "Debian: apt-get install openmpi-bin libopenmpi-dev"


def rows(request: LaunchRequest, timeout_s: float) -> Iterator[Row]:
    """Yield what this machine has."""
    del timeout_s
    spec = request.spec
    resources = replace(spec.resources, gpus_per_node=max(1, spec.resources.gpus_per_node))
    facts = probe(replace(spec, distribution=MpiRun(), resources=resources))
    yield Row("python", OK, f"{sys.executable}, {'.'.join(map(str, sys.version_info[:3]))}")
    yield _cpus(spec.resources, facts)
    yield _gpus(spec.resources, facts)
    yield _mpirun(facts)
    compiler = facts.cxx
    if compiler:
        yield Row("compiler", OK, compiler)
    else:
        yield Row(
            "compiler", WARN, "none; Horovod is compiled here", "Debian: apt-get install g++ cmake make"
        )
    yield writable("store", request.store, "Choose another: store=DIR, or LAUNCHER_STORE")
    yield writable("cache", cache_root(), "Choose another: LAUNCHER_CACHE")
    yield background()
    if shutil.which("sbatch"):
        yield Row("slurm", OK, "there is a cluster here", "python -m launcher compute check compute=slurm")


def _cpus(resources: Resources, facts: Facts) -> Row:
    wanted = resources.world_size * (resources.cpus_per_process or 1)
    found = f"{facts.cpus} for this process"
    if wanted > facts.cpus:
        return Row("CPUs", WARN, f"{found}, {wanted} asked for", "They are shared, and all is slower")
    return Row("CPUs", OK, found)


def _gpus(resources: Resources, facts: Facts) -> Row:
    wanted = resources.nodes * resources.gpus_per_node
    found = f"{len(facts.gpus)} ({', '.join(facts.gpus)})" if facts.gpus else "none"
    if wanted > len(facts.gpus):
        return Row("GPUs", BAD, f"{found}, {wanted} asked for", "Try gpus_per_node=0; nvidia-smi tells more")
    return Row("GPUs", OK, found)


def _mpirun(facts: Facts) -> Row:
    if facts.mpi is None:
        return Row("mpirun", WARN, "none; distribution=mpi needs it", MPI_PACKAGES)
    found = f"{facts.mpi.mpirun}, {facts.mpi.flavour} {facts.mpi.version}"
    if facts.mpi.compiler is None:
        return Row("mpirun", WARN, f"{found}, no mpicxx: no Horovod over MPI", MPI_PACKAGES)
    return Row("mpirun", OK, found)
