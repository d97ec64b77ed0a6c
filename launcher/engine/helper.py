"""The process that speaks to the engine for a supervisor, started while the launcher still prepares."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import launcher

_ANSWER_S = 15.0


class Helper:
    """Imports the SDK, which takes a fifth of a second, beside everything else; ends if nobody takes it.

    Until then it also answers the launcher, which so needs no SDK of its own.
    """

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

    def ask(self, what: str, **more: Any) -> Any:
        """Return its answer (serve.py); None where there is none: the SDK in this process may tell why."""
        if not self._pipes:
            return None
        try:
            os.write(self._pipes[0], json.dumps({"id": what, "do": what, **more}).encode() + b"\n")
            until = time.monotonic() + _ANSWER_S
            while (line := self._line(until)) != b"":
                message = json.loads(line)
                if message.get("id") == what:
                    return message.get("ok")
        except OSError:  # it has ended
            return None
        return None

    def _line(self, until: float) -> bytes:
        """Return its next line, byte by byte, for what follows is the supervisor's; nothing at its end."""
        line = b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self._pipes[1]], [], [], max(0.0, until - time.monotonic()))
            byte = os.read(self._pipes[1], 1) if ready else b""
            if not byte:
                return b""
            line += byte
        return line

    def take(self) -> list[int]:
        """Return the descriptors of its standard input and output, which are the caller's now; once."""
        pipes, self._pipes = self._pipes, []
        return pipes
