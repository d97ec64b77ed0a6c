"""Reads the world into frozen facts, in bounded time and only what the spec depends on."""

from __future__ import annotations

import os
import re
import shutil
import sys
from contextlib import closing, suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.agent.base.tools import full_output
from launcher.compute.batch import BatchTarget
from launcher.compute.containers import MPI, in_image
from launcher.compute.docker import Docker
from launcher.compute.slurm.target import Slurm
from launcher.environment import Image
from launcher.paths import cache_root
from launcher.secrets import look, named, wanted
from launcher.spec import Engine, Facts, Mpi

if TYPE_CHECKING:
    from launcher.engine.helper import Helper
    from launcher.spec import RunSpec

_TIMEOUT_S = 10
_MODULES = ("tensorflow", "torch", "horovod", "mpi4py", "sklearn")
_PACKAGES = {
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
    "torch": ("torch",),
    "sklearn": ("scikit-learn",),
}
_USES_MPI = frozenset({"mpi", "horovod"})
_FLAVOURS = {"Open MPI": "openmpi", "OpenRTE": "openmpi", "Intel(R) MPI": "intel", "HYDRA": "mpich"}

_USUAL_MPI = Mpi(mpirun="mpirun", flavour="openmpi", version="4.1", compiler="mpicxx")
"""Of images."""


def probe(spec: RunSpec, *, touch: bool = True, helper: Helper | None = None) -> Facts:
    """Return what this machine has for a run.

    Args:
        spec: of the run.
        touch: whether anything may be started: what speaks to an engine for a supervisor, and sweeps it; an
            image that nobody has looked into.
        helper: what will speak to the engine, if it was started already.
    """
    uses_mpi = spec.distribution.kind in _USES_MPI
    current = spec.environment.kind == "current"
    slurm = spec.compute.kind == "slurm"
    cluster = None
    if isinstance(spec.compute, BatchTarget):
        from launcher.compute.scheduler_cache import read_limits  # noqa: PLC0415  # 5 ms of start-up elsewhere

        cluster = read_limits(spec.compute.scheduler())
    secrets = look(named(wanted(spec).values()))
    facts = Facts(
        cpus=len(os.sched_getaffinity(0)),
        memory_mib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        gpus=_gpus() if spec.resources.gpus_per_node and not slurm else (),
        mpi=spec.environment.own_mpi() or _mpi(current=current) if uses_mpi else None,
        cxx=shutil.which("g++") or shutil.which("c++") if uses_mpi else None,
        cluster=cluster,
        modules=frozenset(name for name in _MODULES if find_spec(name)) if current else frozenset(),
        versions=_versions() if current and spec.framework.version is not None else {},
        unknown_secrets=secrets.unknown,
        secrets_file=secrets.file,
    )
    if isinstance(spec.compute, Slurm):
        facts = in_image(spec.compute.container, facts, current=current)
    elif isinstance(spec.compute, Docker):
        facts = _in_engine(spec, spec.compute, facts, touch=touch, helper=helper)
    if spec.distribution.kind != "horovod":
        return facts
    return replace(facts, horovod_controllers=spec.environment.horovod_controllers(facts))


def _in_engine(spec: RunSpec, options: Docker, facts: Facts, *, touch: bool, helper: Helper | None) -> Facts:
    """Return facts of the engine, with the MPI of the image in the place of this host's."""
    from launcher.engine.client import read_engine  # noqa: PLC0415  # other targets do without
    from launcher.engine.helper import Helper as Started  # noqa: PLC0415

    if touch and helper is None:
        helper = Started()
    told = helper.ask("about") if helper is not None else None
    engine = read_engine() if told is None else Engine(**told)
    facts = replace(facts, engine=replace(engine, helper=helper))
    if spec.distribution.kind not in _USES_MPI:
        return facts
    told, own = MPI.fullmatch(options.mpi or ""), spec.environment.own_mpi()
    if told:
        return replace(facts, mpi=replace(_USUAL_MPI, flavour=told[1], version=told[2]))
    if own is not None:
        return replace(facts, mpi=replace(own, mpirun="mpirun"))
    return replace(facts, mpi=_USUAL_MPI if engine.problem else _mpi_in_image(spec, touch=touch))


def _mpi_in_image(spec: RunSpec, *, touch: bool) -> Mpi | None:
    """Return the MPI of a run's image, or of that which its image begins with; None where it has none.

    Open MPI 4 is taken for what cannot be known yet, and is what is installed where a base has none.
    """
    from launcher.engine.client import connect  # noqa: PLC0415  # other targets do without
    from launcher.engine.images import find  # noqa: PLC0415
    from launcher.engine.look import look, remembered  # noqa: PLC0415

    whole = isinstance(spec.environment, Image)
    name = getattr(spec.environment, "image" if whole else "base_image", None)
    if not name:
        return _USUAL_MPI
    with closing(connect()) as client:
        there = find(client, name)
        inside = remembered(there.id, cache_root()) if there is not None else None
        if inside is None and there is not None and touch:
            inside = look(client, there.id, cache_root())
    if inside is not None and inside.mpirun:
        found = _parse_mpi("mpirun", inside.mpirun, inside.programs.get("mpicxx"))
        return found if whole else replace(found, compiler="mpicxx")  # where Horovod is compiled there is one
    return None if whole and inside is not None else _USUAL_MPI


def _versions() -> dict[str, str]:
    """Return the installed versions of frameworks, by module."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415  # few launches ask

    found: dict[str, str] = {}
    for module, names in _PACKAGES.items():
        for name in names:
            with suppress(PackageNotFoundError):
                found.setdefault(module, version(name))
    return found


def _gpus() -> tuple[str, ...]:
    """Return the index of each NVIDIA GPU."""
    tool = shutil.which("nvidia-smi")
    if tool is not None:
        listed = full_output([tool, "--query-gpu=index", "--format=csv,noheader"], _TIMEOUT_S)
        return tuple(line.strip() for line in listed.splitlines() if line.strip().isdigit())
    try:
        return tuple(str(index) for index, _ in enumerate(Path("/proc/driver/nvidia/gpus").iterdir()))
    except OSError:
        return ()


def _mpi(*, current: bool) -> Mpi | None:
    """Return the MPI whose mpirun is first on the PATH of a run, on which the environment comes first."""
    own = [str(Path(sys.prefix) / "bin")] if current else []
    mpirun = shutil.which("mpirun", path=os.pathsep.join([*own, os.environ.get("PATH", os.defpath)]))
    if mpirun is None:
        return None
    # Intel MPI's mpirun is a script that looks for its other half on PATH.
    path = f"{Path(mpirun).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    told = full_output([mpirun, "--version"], _TIMEOUT_S, more={"PATH": path})
    return _parse_mpi(str(Path(mpirun).absolute()), told, shutil.which("mpicxx") or shutil.which("mpic++"))


def _parse_mpi(mpirun: str, told: str, compiler: str | None) -> Mpi:
    """Return an MPI by what its `mpirun --version` tells."""
    flavour = next((flavour for word, flavour in _FLAVOURS.items() if word in told), "unknown")
    version = re.search(r"\d+\.\d+(\.\d+)*", told)
    return Mpi(
        mpirun=mpirun, flavour=flavour, version=version.group(0) if version else "0", compiler=compiler
    )
