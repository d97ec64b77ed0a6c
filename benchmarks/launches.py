"""A project to launch from, commands to time, and peers in virtual environments of their own."""

from __future__ import annotations

import compileall
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from uv import find_uv_bin

import launcher
from launcher.paths import cache_root

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

PROGRAMS = Path(__file__).with_name("programs")
"""What the benchmarks launch."""

TRIVIAL = ("framework=python", "script=trivial.py", "data=none", "environment=current")
"""A job that prints one line."""


@dataclass(frozen=True, slots=True)
class Project:
    """A folder with a store of its own; gone after the benchmark."""

    root: Path
    own_cache: bool
    more: Mapping[str, str] = field(default_factory=dict[str, str])
    """Further variables for its commands."""

    @property
    def store(self) -> Path:
        """Where its runs go."""
        return self.root / "store"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that its commands get."""
        env = dict(os.environ, LAUNCHER_STORE=str(self.store), NO_COLOR="1", **self.more)
        if self.own_cache:
            env["LAUNCHER_CACHE"] = str(self.root / "cache")
        if os.geteuid() == 0:  # the launcher sets these by itself, for bare mpirun they are needed
            env |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        return env

    def argv(self, *words: str) -> list[str]:
        """Return the command line of a launch of one of the programs."""
        return [sys.executable, "-m", "launcher", f"source={PROGRAMS}", *words]

    def seconds(self, argv: Sequence[str]) -> float:
        """Run a command to its end and return how long it took."""
        started = time.perf_counter()
        self.output(argv)
        return time.perf_counter() - started

    def output(self, argv: Sequence[str]) -> str:
        """Run a command and return its standard output; a failure ends the benchmark with all it said."""
        done = subprocess.run(
            argv, cwd=self.root, env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"{argv} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout


@contextlib.contextmanager
def project(
    *, own_cache: bool = True, within: Path | None = None, more: Mapping[str, str] | None = None
) -> Generator[Project]:
    """Make a project in the temporary folder.

    Args:
        within: another folder than the temporary one.
        more: further variables for its commands.
        own_cache: whether it starts with an empty cache, too; otherwise environments that were built
            once are used again.
    """
    compileall.compile_dir(Path(launcher.__file__).parent, quiet=1)  # as pip does, see `peer`
    with tempfile.TemporaryDirectory(prefix="launcher-benchmark-", dir=within) as folder:
        made = Project(Path(folder), own_cache, more or {})
        (made.root / "pyproject.toml").write_text('[project]\nname = "benchmark"\n', encoding="utf-8")
        try:
            yield made
        finally:  # snapshots are read-only
            for path in made.root.rglob("*"):
                if path.is_dir() and not path.is_symlink():
                    path.chmod(0o700)


def peer(name: str, packages: Sequence[str]) -> Path:
    """Return the Python of a peer's virtual environment, made on first use with this Python's version."""
    place = cache_root() / "benchmarks" / f"{name}-{sys.version_info[0]}.{sys.version_info[1]}"
    python = place / "bin" / "python"
    if not (place / "ready").exists():
        shutil.rmtree(place, ignore_errors=True)
        print(f"installing {' '.join(packages)}", file=sys.stderr)
        uv = find_uv_bin()
        _install([uv, "venv", "--quiet", "--python", sys.executable, str(place)])
        # Compiled at once, as pip does: its first run shall not pay for that.
        install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python)]
        _install([*install, *packages])
        (place / "ready").touch()
    return python


def hydra_app() -> list[str]:
    """Return the command line of the trivial job as a Hydra app, with submitit's launcher installed."""
    packages = ("hydra-core>=1.3.8,<1.4", "hydra-submitit-launcher==1.2.0", "submitit==1.5.4")
    return [str(peer("hydra-submitit-1.2.0", packages)), str(PROGRAMS / "hydra_app.py")]


def mpirun(python: str, program: str, *args: str) -> list[str]:
    """Return the bare command line that starts two ranks as the launcher does: not bound to one core each."""
    return [
        "mpirun",
        "--oversubscribe",
        "--bind-to",
        "none",
        "-np",
        "2",
        python,
        str(PROGRAMS / program),
        *args,
    ]


def first_line(argv: Sequence[str], where: Project, mark: str) -> tuple[float, str]:
    """Return the seconds from the start of a command to the first line with a mark, and that line."""
    started = time.perf_counter()
    with subprocess.Popen(
        argv,
        cwd=where.root,
        env=where.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if mark in line:
                took = time.perf_counter() - started
                process.stdout.read()
                return took, line
    sys.exit(f"{argv} ended with {process.returncode} and never said {mark!r}")


def _install(argv: Sequence[str]) -> None:
    subprocess.run(argv, check=True)
