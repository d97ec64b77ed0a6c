"""The process that speaks to the engine for a supervisor, started while the launcher still prepares."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import launcher


class Helper:
    """Imports the SDK, which takes a fifth of a second, beside everything else; ends if nobody takes it."""

    def __init__(self) -> None:
        self.token = uuid4().hex
        self.code = str(Path(launcher.__file__).parents[1])
        process = subprocess.Popen(
            [sys.executable, "-m", "launcher.engine.serve", self.token],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": self.code, "PYTHONDONTWRITEBYTECODE": "1"},
            cwd="/",
            start_new_session=True,
        )
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018
        self._pipes = [os.dup(process.stdin.fileno()), os.dup(process.stdout.fileno())]
        process.stdin.close()
        process.stdout.close()
        process.returncode = 0  # detached: Popen need not warn that it still runs

    def take(self) -> list[int]:
        """Return the descriptors of its standard input and output, which are the caller's now; once."""
        pipes, self._pipes = self._pipes, []
        return pipes
