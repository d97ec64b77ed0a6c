"""Horovod as an environment wants it: for which framework, with which MPI, with GPUs or without."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from launcher.environment.recipe.frameworks import Release
    from launcher.facts import Facts, Mpi

_LAYOUT = 1
_GIB_PER_COMPILER = 1.7  # resident size of the largest translation unit with TensorFlow's headers

DEBIAN: Final = "apt-get install g++ make"
DEBIAN_MPI: Final = "apt-get install libopenmpi-dev openmpi-bin"


def supports_mpi(mpi: Mpi | None) -> bool:
    """Tell whether Horovod is built with this MPI: Open MPI 4 with its headers, the one tested."""
    return mpi is not None and mpi.compiler is not None and (mpi.flavour, mpi.major) == ("openmpi", 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class HorovodRequest:
    """The Horovod that an environment needs."""

    release: Release
    mpi: Mpi | None
    """The MPI that it is built with; None for Gloo alone."""
    gpu: bool
    cxx: str | None

    @classmethod
    def of(cls, release: Release, facts: Facts, *, gpu: bool) -> HorovodRequest:
        """Return what this machine can build for a release."""
        return cls(
            release=release, mpi=facts.mpi if supports_mpi(facts.mpi) else None, gpu=gpu, cxx=facts.cxx
        )

    @property
    def library(self) -> str:
        """`tensorflow` or `torch`, as Horovod names it."""
        return self.release.modules[0]

    @property
    def modules(self) -> tuple[str, ...]:
        """What must import."""
        return (f"horovod.{self.library}",)

    def as_record(self) -> dict[str, object]:
        """Return what of this decides the outcome."""
        return {
            "layout": _LAYOUT,
            "horovod": self.release.horovod,
            "framework": self.release.brings(gpu=self.gpu, horovod=False),
            "mpi": [self.mpi.flavour, self.mpi.major] if self.mpi else None,
            "gpu": self.gpu,
        }

    def variables(self, prefix: Path, temporary: Path, path: str) -> dict[str, str]:
        """Return the variables of the build (Horovod's docs/install.rst).

        Args:
            prefix: of the environment that it is built in.
            temporary: for files of pip.
            path: by which programs are found there.
        """
        chosen = {"tensorflow": "TENSORFLOW", "torch": "PYTORCH"}
        env = {f"HOROVOD_WITHOUT_{name}": "1" for name in ("TENSORFLOW", "PYTORCH", "MXNET")}
        del env[f"HOROVOD_WITHOUT_{chosen[self.library]}"]
        env[f"HOROVOD_WITH_{chosen[self.library]}"] = "1"
        env["HOROVOD_WITH_GLOO"] = "1"
        env["HOROVOD_WITH_MPI" if self.mpi else "HOROVOD_WITHOUT_MPI"] = "1"
        env["MAKEFLAGS"] = f"-j{_compilers()}"
        env["CMAKE_POLICY_VERSION_MINIMUM"] = "3.5"  # CMake 4 refuses the age of its bundled projects
        env["TMPDIR"] = str(temporary)  # pip's copies go with the build when it is killed
        places = [str(prefix / "bin"), path]
        if self.mpi is not None and self.mpi.compiler is not None and os.path.isabs(self.mpi.compiler):  # noqa: PTH117
            places.insert(1, str(Path(self.mpi.compiler).parent))
        if self.cxx is not None:
            env["CXX"] = self.cxx
        index = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL")
        if index and "PIP_INDEX_URL" not in os.environ:
            env["PIP_INDEX_URL"] = index  # its source is brought by pip
        if self.gpu:
            env |= {"HOROVOD_GPU_OPERATIONS": "NCCL", **_nccl(prefix)}
        return {**env, "PATH": os.pathsep.join(places)}


def _nccl(prefix: Path) -> dict[str, str]:
    """Return where NCCL is when it came as a package beside the framework."""
    for header in prefix.glob("lib/python*/site-packages/nvidia/nccl/include/nccl.h"):
        home = header.parent.parent
        return {
            "HOROVOD_NCCL_INCLUDE": str(header.parent),
            "HOROVOD_NCCL_LIB": str(home / "lib"),
            "HOROVOD_NCCL_LINK": "SHARED",
        }
    return {}


def _compilers() -> int:
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return max(1, min(len(os.sched_getaffinity(0)), int(memory_gib / _GIB_PER_COMPILER)))
