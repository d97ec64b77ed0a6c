"""Horovod, which is published as source only: built once for a framework and kept as a wheel."""

from __future__ import annotations

import os
import re
import shutil
import tarfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from launcher.environment import uv
from launcher.environment.interpreters import Interpreter, as_record
from launcher.environment.lease import Lease
from launcher.environment.recipe import digest, machine
from launcher.environment.tools import Listener, Tools
from launcher.environment.wheels import strip_wheel
from launcher.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.environment.frameworks import Release
    from launcher.spec import Facts, Mpi, Progress

_LAYOUT = 1
_BUILD_NEEDS = ("pip", "setuptools>=65", "wheel", "packaging", "cffi")
_GIB_PER_COMPILER = 1.7  # resident size of the largest translation unit with TensorFlow's headers

DEBIAN: Final = "apt-get install g++ make"
DEBIAN_MPI: Final = "apt-get install libopenmpi-dev openmpi-bin"

Patch = tuple[str, str, str]
"""File, regular expression, replacement."""

PATCHES: Final[dict[tuple[str, str], tuple[Patch, ...]]] = {
    ("tensorflow", "2.21.0"): (
        # The XLA kernels need headers that TensorFlow 2.21 does not ship; they are optional.
        ("horovod/tensorflow/CMakeLists.txt", r"(?m)^.*xla_mpi_ops\.cc.*\n", ""),
        # Under TF_USE_LEGACY_KERAS `keras` is Keras 3 still, and only tf.keras is Keras 2.
        (
            "horovod/tensorflow/keras/__init__.py",
            r"(?m)^    from keras import backend as K$",
            "    K = keras.backend",
        ),
        (
            "horovod/tensorflow/keras/callbacks.py",
            r"(?m)^    from keras import backend as K$",
            "    K = keras.backend",
        ),
    ),
    ("pytorch", "2.13.0"): (
        # PyTorch's headers are C++20; all parts alike, or gloo's constants are defined twice.
        ("CMakeLists.txt", "CMAKE_CXX_STANDARD 14", "CMAKE_CXX_STANDARD 20"),
        ("horovod/torch/CMakeLists.txt", "CMAKE_CXX_STANDARD 14", "CMAKE_CXX_STANDARD 20"),
    ),
}


def supports_mpi(mpi: Mpi | None) -> bool:
    """Tell whether Horovod is built with this MPI: Open MPI 4 with its headers, the one tested."""
    return mpi is not None and mpi.compiler is not None and (mpi.flavour, mpi.major) == ("openmpi", 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class HorovodWish:
    """The Horovod that an environment needs."""

    release: Release
    mpi: Mpi | None
    """The MPI that it is built with; None for Gloo alone."""
    gpu: bool
    cxx: str | None

    @classmethod
    def of(cls, release: Release, facts: Facts, *, gpu: bool) -> HorovodWish:
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

    def variables(self, prefix: Path, temporary: Path) -> dict[str, str]:
        """Return the variables of the build (Horovod's docs/install.rst)."""
        chosen = {"tensorflow": "TENSORFLOW", "torch": "PYTORCH"}
        env = {f"HOROVOD_WITHOUT_{name}": "1" for name in ("TENSORFLOW", "PYTORCH", "MXNET")}
        del env[f"HOROVOD_WITHOUT_{chosen[self.library]}"]
        env[f"HOROVOD_WITH_{chosen[self.library]}"] = "1"
        env["HOROVOD_WITH_GLOO"] = "1"
        env["HOROVOD_WITH_MPI" if self.mpi else "HOROVOD_WITHOUT_MPI"] = "1"
        env["MAKEFLAGS"] = f"-j{_compilers()}"
        env["CMAKE_POLICY_VERSION_MINIMUM"] = "3.5"  # CMake 4 refuses the age of its bundled projects
        env["TMPDIR"] = str(temporary)  # pip's copies go with the build when it is killed
        path = [str(prefix / "bin"), os.environ.get("PATH", os.defpath)]
        if self.mpi is not None and self.mpi.compiler is not None:
            path.insert(1, str(Path(self.mpi.compiler).parent))
        if self.cxx is not None:
            env["CXX"] = self.cxx
        if self.gpu:
            env |= {"HOROVOD_GPU_OPERATIONS": "NCCL", **_nccl(prefix)}
        return {**env, "PATH": os.pathsep.join(path)}


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


def ensure_wheel(wish: HorovodWish, interpreter: Interpreter, cache: Path, progress: Progress) -> Path:
    """Return the wheel of Horovod for a framework and a Python, building it unless it is there.

    Raises:
        BuildError: with the last lines of the compiler.
    """
    python = {**as_record(interpreter), "version": interpreter.version.rpartition(".")[0]}
    key = digest({"wish": wish.as_record(), "python": python, "machine": machine()})[:20]
    place = cache / "wheels" / key

    def there() -> Path | None:
        return next(iter(place.glob("horovod-*.whl")), None)

    def waiting(seconds: float) -> None:
        progress.step(f"Waiting for another launch that builds Horovod ({seconds:.0f} s)")

    lease = Lease(cache / "leases", f"wheel-{key}")
    if lease.take(lambda: there() is not None, waiting):
        with lease:
            return _build(wish, interpreter, place, progress)
    wheel = there()
    if wheel is None:
        raise BuildError("The wheel of Horovod was removed while it was waited for. Launch again")
    return wheel


def _build(wish: HorovodWish, interpreter: Interpreter, place: Path, progress: Progress) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    for old in place.iterdir():
        shutil.rmtree(old, ignore_errors=True)
    work = place / uuid.uuid4().hex[:8]
    work.mkdir()
    try:
        built = _compile(wish, interpreter, work, Tools(log=place / "build.log"), progress)
        final = place / built.name
        built.replace(final)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return final


def _compile(
    wish: HorovodWish, interpreter: Interpreter, work: Path, tools: Tools, progress: Progress
) -> Path:
    release = wish.release
    temporary = work / "tmp"
    temporary.mkdir()
    progress.step(
        f"Preparing to build Horovod {release.horovod} for {release.framework} {release.version}", 0.03
    )
    python = uv.venv(interpreter.path, work / "venv", tools)
    needs = [*release.brings(gpu=wish.gpu, horovod=True), *_BUILD_NEEDS]
    if shutil.which("cmake") is None:
        needs.append("cmake<4")
    uv.install(uv.Wanted(lines=tuple(needs), overrides=release.overrides(gpu=wish.gpu)), python, tools)
    compiling = Tools(log=tools.log, env=wish.variables(work / "venv", temporary))
    source = _source(wish, python, work, compiling)
    progress.step(f"Compiling Horovod {release.horovod} (several minutes, once)", 0.05)
    pip = [
        str(python),
        "-m",
        "pip",
        "wheel",
        "-v",
        "--no-build-isolation",
        "--no-deps",
        "-w",
        str(work),
        str(source),
    ]
    hint = f"Look at the first error in the log. It needs a C++ compiler and make: {DEBIAN}"
    compiling.run(
        ["nice", "-n", "10", *pip], "Compiling Horovod", hear=_cmake_listener(progress), cwd=work, hint=hint
    )
    wheel = strip_wheel(next(iter(work.glob("horovod-*.whl"))), work / "stripped", tools)
    progress.step("Importing Horovod", 0.5)
    uv.install(uv.Wanted(lines=(f"horovod @ {wheel.as_uri()}",)), python, tools)
    trying = Tools(log=tools.log, env=dict(release.horovod_env))
    for module in wish.modules:
        trying.run([str(python), "-I", "-c", f"import {module}"], f"Importing {module}", cwd=work)
    return wheel


def _source(wish: HorovodWish, python: Path, work: Path, tools: Tools) -> Path:
    """Bring Horovod's source and patch it."""
    release = wish.release
    argv = [
        str(python),
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--no-binary",
        "horovod",
        "--no-build-isolation",
    ]
    tools.run([*argv, "-d", str(work), f"horovod=={release.horovod}"], "Downloading Horovod", cwd=work)
    archive = next(iter(work.glob("horovod-*.tar.gz")))
    with tarfile.open(archive) as tar:
        tar.extractall(work / "source", filter="data")
    source = next(iter((work / "source").iterdir()))
    apply(PATCHES.get((release.framework, release.version), ()), source)
    return source


def apply(patches: Iterable[Patch], source: Path) -> None:
    """Change a source tree.

    Raises:
        BuildError: a place to be changed is not there.
    """
    for name, pattern, replacement in patches:
        path = source / name
        text, count = re.subn(pattern, replacement, path.read_text(encoding="utf-8"))
        if count == 0:
            raise BuildError(f"{name}: nothing like {pattern!r} to change in this version of Horovod")
        path.write_text(text, encoding="utf-8")


def _cmake_listener(progress: Progress) -> Listener:
    """Tell the percentages of make as progress."""

    def hear(line: str) -> None:
        match = re.search(r"\[ *(\d+)%\] (?:Building \S+ object|Linking)", line)
        if match:
            percent = int(match.group(1))
            progress.step(f"Compiling Horovod {percent} %", 0.05 + 0.45 * percent / 100)

    return hear
