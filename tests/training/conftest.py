"""Launches through the command line, as users do, into a store of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from launcher.paths import RunFolder, StoreFolder
from launcher.store.runs import Run, read_run

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Launched:
    """A command line that has ended, and the runs that it left."""

    code: int
    out: str
    err: str
    folders: tuple[RunFolder, ...]

    @property
    def run(self) -> Run:
        """The only run."""
        assert len(self.folders) == 1, f"{len(self.folders)} runs\n{self.out}\n{self.err}"
        return read_run(self.folders[0])


@dataclass(frozen=True)
class Launcher:
    """Runs `python -m launcher` with a store."""

    store: Path
    cwd: Path = ROOT

    def __call__(self, *words: str, timeout_s: float = 1800, env: dict[str, str] | None = None) -> Launched:
        """Run a command line to its end."""
        before = self._folders()
        done = subprocess.run(
            [sys.executable, "-m", "launcher", *words],
            cwd=self.cwd,
            env={**os.environ, "LAUNCHER_STORE": str(self.store), **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        new = sorted(self._folders() - before, key=lambda folder: (folder.root.parent, int(folder.root.name)))
        return Launched(done.returncode, done.stdout, done.stderr, tuple(new))

    def _folders(self) -> set[RunFolder]:
        store = StoreFolder(self.store)
        return {store.run(name, number) for name in store.experiments() for number in store.numbers(name)}


@pytest.fixture
def launch(tmp_path: Path) -> Launcher:
    """Launches into a store of this test's own."""
    return Launcher(tmp_path / "store")
