"""What this machine has, asked of its own tools in bounded time."""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.agent.base.tools import full_output
from launcher.facts import Mpi

if TYPE_CHECKING:
    from launcher.facts import Facts
    from launcher.spec import RunSpec

_TIMEOUT_S = 10
_FLAVOURS = {"Open MPI": "openmpi", "OpenRTE": "openmpi", "Intel(R) MPI": "intel", "HYDRA": "mpich"}


def cpu_count() -> int:
    """Return how many CPUs this process may use."""
    return len(os.sched_getaffinity(0))


def with_gpus(spec: RunSpec, facts: Facts) -> Facts:
    """Return facts with the GPUs of this machine, if the run asks for any."""
    return replace(facts, gpus=read_gpus()) if spec.resources.gpus_per_node else facts


def read_gpus() -> tuple[str, ...]:
    """Return the index of each NVIDIA GPU."""
    tool = shutil.which("nvidia-smi")
    if tool is not None:
        listed = full_output([tool, "--query-gpu=index", "--format=csv,noheader"], _TIMEOUT_S)
        return tuple(line.strip() for line in listed.splitlines() if line.strip().isdigit())
    try:
        return tuple(str(index) for index, _ in enumerate(Path("/proc/driver/nvidia/gpus").iterdir()))
    except OSError:
        return ()


def read_mpi(*, current: bool) -> Mpi | None:
    """Return the MPI whose mpirun is first on the PATH of a run, on which the environment comes first."""
    own = [str(Path(sys.prefix) / "bin")] if current else []
    mpirun = shutil.which("mpirun", path=os.pathsep.join([*own, os.environ.get("PATH", os.defpath)]))
    if mpirun is None:
        return None
    # Intel MPI's mpirun is a script that looks for its other half on PATH.
    path = f"{Path(mpirun).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    told = full_output([mpirun, "--version"], _TIMEOUT_S, more={"PATH": path})
    return mpi_of(str(Path(mpirun).absolute()), told, shutil.which("mpicxx") or shutil.which("mpic++"))


def compiler() -> str | None:
    """Return the C++ compiler."""
    return shutil.which("g++") or shutil.which("c++")


def mpi_of(mpirun: str, told: str, compiler: str | None) -> Mpi:
    """Return an MPI by what its `mpirun --version` tells."""
    flavour = next((flavour for word, flavour in _FLAVOURS.items() if word in told), "unknown")
    version = re.search(r"\d+\.\d+(\.\d+)*", told)
    return Mpi(
        mpirun=mpirun, flavour=flavour, version=version.group(0) if version else "0", compiler=compiler
    )
