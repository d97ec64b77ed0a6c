"""Build Horovod, which is published as source only: once for a framework, kept as a wheel."""

from __future__ import annotations

import re
import shutil
import tarfile
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from launcher.agent.base.shared_fs import claim_dir, list_uncached
from launcher.environment.build import uv
from launcher.environment.build.wheels import is_whole, strip_wheel
from launcher.environment.recipe.horovod import DEBIAN
from launcher.environment.recipe.interpreters import as_record
from launcher.environment.recipe.key import digest
from launcher.errors import BuildError
from launcher.store.lease import Lease

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from launcher.environment.build.tools import Listener, Tools
    from launcher.environment.recipe.horovod import HorovodRequest
    from launcher.environment.recipe.interpreters import Interpreter
    from launcher.spec import Progress

_WHEEL = "horovod-*.whl"
_BUILD_NEEDS = ("pip", "setuptools>=65", "wheel", "packaging", "cffi")

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


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildHost:
    """Where Horovod is built."""

    interpreter: Interpreter
    tools: Tools
    path: str
    """Programs are found by it."""


BuildHostOf = Callable[[Path], AbstractContextManager[BuildHost]]
"""Gives the place, with a folder that has to be there."""


def ensure_wheel(  # noqa: PLR0913, PLR0917  # what it is for, and where it is made
    request: HorovodRequest,
    machine: Mapping[str, str],
    interpreter: Interpreter,
    cache: Path,
    progress: Progress,
    place_of: BuildHostOf,
) -> Path:
    """Return the wheel of Horovod for a framework and a Python, building it unless it is there.

    Args:
        request: the framework, the MPI and the rest.
        machine: that it is for, see `recipe.machine`.
        interpreter: that it is for.
        cache: of wheels.
        progress: told how far it is.
        place_of: gives the place to build it.

    Raises:
        BuildError: with the last lines of the compiler.
    """
    python = {**as_record(interpreter), "version": interpreter.version.rpartition(".")[0]}
    key = digest({"wish": request.as_record(), "python": python, "machine": dict(machine)})[:20]
    place = cache / "wheels" / key
    return Lease(cache / "leases", f"wheel-{key}").once(
        lambda: next(filter(is_whole, place.glob(_WHEEL)), None),
        lambda: _build(request, place, progress, place_of),
        progress.step,
        "Waiting for another launch that builds Horovod",
    )


def _build(request: HorovodRequest, folder: Path, progress: Progress, place_of: BuildHostOf) -> Path:
    claim_dir(str(folder))
    there = [folder / name for name in list_uncached(str(folder))]
    for wheel in there:
        if wheel.match(_WHEEL) and is_whole(wheel):  # another host has just put it there
            return wheel
    if any(wheel.match(_WHEEL) for wheel in there):
        progress.step("Building Horovod again: its wheel in the cache is damaged", 0.02)
    elif there:
        progress.step("Clearing away what an unfinished build left", 0.02)  # seconds, where it was large
    for old in there:
        old.unlink() if old.is_file() else shutil.rmtree(old, ignore_errors=True)
    work = folder / uuid.uuid4().hex[:8]
    work.mkdir()
    try:
        with place_of(folder) as place:
            tools = place.tools.beside(log=folder / "build.log")
            built = _compile(request, replace(place, tools=tools), work, progress)
        final = folder / built.name
        built.replace(final)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return final


def _check_headers(place: BuildHost) -> None:
    """Refuse at once what would fail after minutes: PyTorch's headers include Python's."""
    query = (
        "import os, sysconfig; folder = sysconfig.get_path('include');"
        "print(('' if os.path.isfile(folder + '/Python.h') else 'none ') + folder)"
    )
    said = place.tools.run([place.interpreter.path, "-I", "-c", query], "Asking for Python's headers")[-1]
    if said.startswith("none "):
        raise BuildError(
            f"Horovod for PyTorch needs the headers of Python {place.interpreter.version}: there is no "
            f"Python.h in {said.removeprefix('none ')}. Install them, on Debian: apt-get install python3-dev"
        )


def _compile(request: HorovodRequest, place: BuildHost, work: Path, progress: Progress) -> Path:
    release, tools = request.release, place.tools
    if release.framework == "pytorch":
        _check_headers(place)
    temporary = work / "tmp"
    temporary.mkdir()
    progress.step(
        f"Preparing to build Horovod {release.horovod} for {release.framework} {release.version}", 0.03
    )
    python = uv.venv(place.interpreter.path, work / "venv", tools)
    needs = [*release.brings(gpu=request.gpu, horovod=True), *_BUILD_NEEDS]
    if tools.which("cmake") is None:
        needs.append("cmake<4")
    uv.install(
        uv.InstallRequest(lines=tuple(needs), overrides=release.overrides(gpu=request.gpu)), python, tools
    )
    compiling = tools.beside(env=request.variables(work / "venv", temporary, place.path))
    source = _source(request, python, work, compiling)
    progress.step(f"Compiling Horovod {release.horovod} (several minutes, once)", 0.05)
    pip = [str(python), "-m", "pip", "wheel", "-v", "--no-build-isolation", "--no-deps"]
    pip += ["-w", str(work), str(source)]
    hint = f"Look at the first error in the log. It needs a C++ compiler and make: {DEBIAN}"
    compiling.run(
        ["nice", "-n", "10", *pip], "Compiling Horovod", hear=_cmake_listener(progress), cwd=work, hint=hint
    )
    wheel = strip_wheel(next(iter(work.glob(_WHEEL))), work / "stripped", tools)
    progress.step("Importing Horovod", 0.5)
    uv.install(uv.InstallRequest(lines=(f"horovod @ {wheel.as_uri()}",)), python, tools)
    trying = tools.beside(env=dict(release.horovod_env))
    for module in request.modules:
        trying.run([str(python), "-I", "-c", f"import {module}"], f"Importing {module}", cwd=work)
    return wheel


def _source(request: HorovodRequest, python: Path, work: Path, tools: Tools) -> Path:
    """Bring Horovod's source and patch it."""
    release = request.release
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
        # Python 3.11.2, Debian 12's, knows no filter and passes over this attribute.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        tar.extractall(work / "source")  # noqa: S202  # filtered, where Python can
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
