"""Build an environment once, whatever happens meanwhile, and find it again at once."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from launcher.agent import record
from launcher.environment.cached import KEY_LENGTH, CachedEnvironment, folder
from launcher.environment.horovod import ensure_wheel
from launcher.environment.indexes import redact
from launcher.environment.interpreters import describe
from launcher.environment.lease import Lease
from launcher.environment.recipe import Recipe
from launcher.environment.tools import Listener, Tools, uv
from launcher.errors import BuildError
from launcher.spec import Prepared, Progress

_IMPORT = {"mpi4py": "import mpi4py; mpi4py.rc.initialize = False; import mpi4py.MPI"}
"""How a module is tried where a plain import is not enough, or does too much."""


def ensure(recipe: Recipe, cache: Path, progress: Progress) -> Prepared:
    """Return the environment of a recipe, building it unless it is there.

    Raises:
        BuildError: with the last lines of the tool that failed.
    """
    key = recipe.key()
    place = folder(cache, key)
    if (there := place.prepared()) is not None:
        return there

    def waiting(seconds: float) -> None:
        progress.step(f"Waiting for another launch that builds this environment ({seconds:.0f} s)")

    lease = Lease(cache / "leases", f"environment-{key[:KEY_LENGTH]}")
    if lease.take(lambda: place.prepared() is not None, waiting):
        with lease:
            return _build(recipe, key, place, cache, progress)
    there = place.prepared()
    if there is None:
        raise BuildError(f"The environment {key[:KEY_LENGTH]} was removed while it was waited for. Launch again")
    return there


def _build(recipe: Recipe, key: str, place: CachedEnvironment, cache: Path, progress: Progress) -> Prepared:
    begin = time.monotonic()
    place.root.mkdir(parents=True, exist_ok=True)
    place.sweep()
    for old in (place.ready, place.log):
        record.remove(str(old))
    mark = uuid.uuid4().hex[:8]
    prefix = place.root / mark
    tools = Tools(log=place.log)
    try:
        python = _bare(recipe, prefix, tools, cache, progress)
        _install(recipe, python, prefix, tools, cache, progress)
        _try_imports(recipe, python, tools, progress)
        packages = frozen(python, tools)
    except BaseException:
        place.sweep()
        raise
    env = {**recipe.env, **_variables(recipe, prefix)}
    prepared = Prepared(key=key, python=str(python), prefix=str(prefix), env=env, packages=packages)
    done = place.finish(prepared, {"build_s": round(time.monotonic() - begin, 1)})
    place.sweep(keep=Path(done.prefix).name)
    return done


def _variables(recipe: Recipe, prefix: Path) -> dict[str, str]:
    if recipe.conda is None:
        return {"VIRTUAL_ENV": str(prefix)}
    return {"CONDA_PREFIX": str(prefix), "PYTHONNOUSERSITE": "1"}


def _bare(recipe: Recipe, prefix: Path, tools: Tools, cache: Path, progress: Progress) -> Path:
    """Make the environment with nothing of the index in it; return its interpreter."""
    if recipe.conda is not None:
        from launcher.environment.conda import install  # noqa: PLC0415  # an extra: py-rattler takes 50 ms

        return install(recipe.conda, prefix, tools, cache, progress)
    if recipe.interpreter is None:
        raise BuildError("environment.python: nothing brings a Python")
    progress.step(f"Creating an environment with Python {recipe.interpreter.version}", 0.02)
    venv(recipe.interpreter.path, prefix, tools)
    return prefix / "bin" / "python"


def venv(interpreter: str, prefix: Path, tools: Tools) -> None:
    """Make a virtual environment."""
    argv = [uv(), "venv", "--quiet", "--no-python-downloads", "--python", interpreter, str(prefix)]
    tools.run(argv, "Creating the environment", cwd=prefix.parent)


def _install(recipe: Recipe, python: Path, prefix: Path, tools: Tools, cache: Path, progress: Progress) -> None:
    lines = list(recipe.requirements)
    overrides: list[str] = []
    if recipe.horovod is not None:
        wheel = ensure_wheel(recipe.horovod, describe(str(python), cache), cache, progress)
        lines.append(f"horovod @ {wheel.as_uri()}")
        overrides = list(recipe.horovod.release.overrides(gpu=recipe.gpu))
    if recipe.conda is not None:
        lines += recipe.conda.pip_lines()
    if not lines and not recipe.files:
        return
    files = [str(path.absolute()) for path in recipe.files]
    extra = ["--torch-backend", recipe.torch_backend] if recipe.torch_backend else []
    pip_install(python, lines, tools, hear=_uv_listener(progress), files=files, extra=extra, overrides=overrides)


def pip_install(  # noqa: PLR0913  # one command line
    python: Path,
    lines: Sequence[str],
    tools: Tools,
    *,
    hear: Listener,
    files: Sequence[str] = (),
    extra: Sequence[str] = (),
    overrides: Sequence[str] = (),
) -> None:
    """Install requirements; they travel in a file, as one may hold credentials."""
    folder_ = python.parent.parent
    wanted = folder_ / "requirements.in"
    argv = [uv(), "pip", "install", "--no-python-downloads", "--python", str(python), *extra]
    wanted.touch(mode=0o600)
    wanted.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    if overrides:
        over = folder_ / "overrides.in"
        over.write_text("".join(f"{line}\n" for line in overrides), encoding="utf-8")
        argv += ["--overrides", str(over)]
    for path in (str(wanted), *files):
        argv += ["-r", path]
    hint = "Look at environment.pip_packages, environment.requirements_file and framework.version"
    try:
        tools.run(argv, "Installing packages", hear=hear, cwd=folder_, hint=hint)
    finally:
        record.remove(str(wanted))


def _uv_listener(progress: Progress) -> Listener:
    """Tell uv's output as progress."""
    progress.step("Resolving packages", 0.55)
    stages = {"Resolved": ("Downloading", 0.6), "Prepared": ("Installing", 0.75), "Installed": ("Installed", 0.85)}

    def hear(line: str) -> None:
        match = re.match(r"(Resolved|Prepared|Installed) (\d+ packages?)", line)
        if match:
            verb, done = stages[match.group(1)]
            progress.step(f"{verb} {match.group(2)}", done)
        elif line.startswith(("Downloading ", "Building ", "   Building ")):
            progress.step(line.strip(), 0.65)

    return hear


def _try_imports(recipe: Recipe, python: Path, tools: Tools, progress: Progress) -> None:
    for module in recipe.modules:
        progress.step(f"Importing {module}", 0.9)
        code = _IMPORT.get(module, f"import {module}")
        hint = f"The packages installed, but {module} does not import: one of them does not fit"
        tools.run([str(python), "-I", "-c", code], f"Importing {module}", cwd=python.parent, hint=hint)


def frozen(python: Path, tools: Tools) -> tuple[str, ...]:
    """Return what is installed, as `name==version`."""
    argv = [uv(), "pip", "freeze", "--quiet", "--python", str(python)]
    lines = tools.run(argv, "Listing the packages", cwd=python.parent)
    return tuple(redact(line) for line in lines if "==" in line or " @ " in line)
