"""The commands of uv, which comes as a package."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.credentials import hide
from launcher.environment.build.git_logins import GitLogins
from launcher.environment.build.tools import silent
from launcher.errors import BuildError
from launcher.secrets import fill

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from launcher.environment.build.tools import Listener, Tools


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallRequest:
    """What is to be installed, in one resolution."""

    lines: tuple[str, ...]
    """Requirements, and options of pip as a requirement file has them."""
    constraints: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    """Requirements that replace those of any package."""
    torch_backend: str | None = None
    folder: Path | None = None
    """Where their files are written; None: into the environment."""
    system: bool = False
    """Whether the interpreter is that of a system, which is changed."""


def binary() -> str:
    """Return the path of uv.

    Raises:
        BuildError: it is not there.
    """
    from uv import find_uv_bin  # noqa: PLC0415  # only where something is built

    try:
        return find_uv_bin()
    except FileNotFoundError as error:
        raise BuildError(f"{error}. Try: {sys.executable} -m pip install --force-reinstall uv") from error


def torch_backends() -> list[str]:
    """Return the builds of PyTorch that this uv knows. It lists them in 0.1 s when given none of them."""
    argv = [binary(), "pip", "install", "--color=never", "--torch-backend=?"]
    text = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False).stderr
    listed = re.search(r"'--torch-backend [^[]*\[possible values: ([^\]]*)\]", text)
    return re.split(r",\s*", listed[1]) if listed else []


def venv(interpreter: str, prefix: Path, tools: Tools) -> Path:
    """Make a virtual environment; return its interpreter."""
    argv = [binary(), "venv", "--quiet", "--no-python-downloads", "--python", interpreter, str(prefix)]
    tools.run(argv, "Creating the environment", cwd=prefix.parent)
    return prefix / "bin" / "python"


def install(
    request: InstallRequest, python: Path, tools: Tools, *, hear: Listener = silent, hint: str = ""
) -> None:
    """Install into the environment of an interpreter.

    The requirements travel in a file, for that one may hold credentials and others see command lines.
    """
    folder = request.folder or python.parent.parent
    logins = GitLogins()
    argv = [binary(), "pip", "install", "--no-python-downloads", "--python", str(python)]
    if request.system:
        argv.append("--break-system-packages")
    if request.torch_backend is not None:
        argv += ["--torch-backend", request.torch_backend]
    given = {"-r": request.lines, "-c": request.constraints, "--overrides": request.overrides}
    written: list[Path] = []
    try:
        for option, lines in given.items():
            if lines:
                path = folder / f"{option.strip('-')}.in"
                written.append(path)
                path.touch(mode=0o600)
                path.write_bytes(
                    os.fsencode("".join(f"{tools.there(logins.take(fill(line)))}\n" for line in lines))
                )
                argv += [option, str(path)]
        tools = tools.beside(env={**tools.env, **logins.variables()})
        tools.run(argv, "Installing packages", hear=hear, cwd=folder, hint=hint)
    finally:
        for path in written:
            path.unlink(missing_ok=True)


def frozen(python: Path, tools: Tools, archives: Mapping[Path, Path]) -> tuple[str, ...]:
    """Return what is installed, as `name==version`, or as `name @ address`.

    `archives` has the folder from which each archive comes.
    """
    argv = [binary(), "pip", "freeze", "--quiet", "--python", str(python)]
    lines = tools.run(argv, "Listing the packages", cwd=python.parent)
    for archive, source in archives.items():
        lines = [line.replace(tools.there(archive.as_uri()), source.as_uri()) for line in lines]
    return tuple(hide(line) for line in lines if "==" in line or " @ " in line)
