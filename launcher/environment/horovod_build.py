"""Build Horovod, which is published as source only: once for a framework, kept as a wheel."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final

from launcher.environment import uv
from launcher.environment.horovod import DEBIAN
from launcher.environment.interpreters import as_record
from launcher.environment.lease import Lease
from launcher.environment.recipe import digest, machine
from launcher.environment.tools import Tools
from launcher.environment.wheels import strip_wheel
from launcher.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.environment.horovod import HorovodWish
    from launcher.environment.interpreters import Interpreter
    from launcher.environment.tools import Listener
    from launcher.spec import Progress

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
    unfinished = list(place.iterdir())
    if unfinished:
        progress.step("Clearing away what an unfinished build left", 0.02)  # seconds, where it was large
    for old in unfinished:
        old.unlink() if old.is_file() else shutil.rmtree(old, ignore_errors=True)
    work = place / uuid.uuid4().hex[:8]
    work.mkdir()
    try:
        built = _compile(wish, interpreter, work, Tools(log=place / "build.log"), progress)
        final = place / built.name
        built.replace(final)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return final


def _check_headers(interpreter: Interpreter) -> None:
    """Refuse at once what would fail after minutes: PyTorch's headers include Python's."""
    query = "import sysconfig; print(sysconfig.get_path('include'))"
    asked = subprocess.run(
        [interpreter.path, "-I", "-c", query], capture_output=True, text=True, check=False, timeout=60
    )
    folder = Path(asked.stdout.strip())
    if not (folder / "Python.h").is_file():
        raise BuildError(
            f"Horovod for PyTorch needs the headers of Python {interpreter.version}: there is no Python.h in "
            f"{folder}. Install them, on Debian: apt-get install python3-dev"
        )


def _compile(
    wish: HorovodWish, interpreter: Interpreter, work: Path, tools: Tools, progress: Progress
) -> Path:
    release = wish.release
    if release.framework == "pytorch":
        _check_headers(interpreter)
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
