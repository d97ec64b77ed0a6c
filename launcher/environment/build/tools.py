"""Run the tools that build an environment: guarded, logged, told about, and explained when they fail."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from launcher.credentials import hide
from launcher.environment.recipe.indexes import builder_variables
from launcher.errors import BuildError

if TYPE_CHECKING:
    from pathlib import Path

_FOREIGN = (
    "VIRTUAL_ENV",
    "UV_PYTHON",
    "UV_TARGET",
    "UV_SYSTEM_PYTHON",
    "UV_PROJECT",
    "PIP_TARGET",
    "PIP_PREFIX",
)
_LAST_LINES = 25
_WIDTH = 300
"""Letters of a quoted line; those of compilers run to thousands."""
_SIGNALLED = 128

FULL_DISK = "No space left on device|Disk quota exceeded|disk full"
HINTS = {
    FULL_DISK: "The disk is full: python -m launcher env prune removes what is not used, "
    "LAUNCHER_CACHE and UV_CACHE_DIR name folders on another disk",
    r"\b401 Unauthorized|\b403 Forbidden|\b407 Proxy": "The index, or a proxy, refuses the login: "
    "look at pip's configuration, uv's variables and ~/.netrc",
    r"(?i)dns error|failed to lookup address|connection refused|network is unreachable": "The index "
    "cannot be reached: look at the network, the proxies and pip's configuration",
}
"""What to do about failures for which nobody's wishes are to blame, by words of uv, pip and conda."""

Listener = Callable[[str], None]


def silent(_line: str) -> None:
    """Hear nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """Starts tools with one log and one environment."""

    log: Path
    """Everything that the tools say, without credentials."""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """Added to the surroundings."""
    hints: Mapping[str, str] = field(default_factory=lambda: HINTS)

    def _surroundings(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in _FOREIGN and not name.startswith(("PYTHON", "CONDA_"))
        }
        return {**kept, **builder_variables(os.environ), **self.env}

    def beside(self, *, log: Path | None = None, env: Mapping[str, str] | None = None) -> Self:
        """Return the same with another log, or another environment."""
        return replace(self, log=log or self.log, env=self.env if env is None else env)

    def which(self, name: str) -> str | None:
        """Return the path of a program where these run."""
        return shutil.which(name)

    def there(self, text: str) -> str:
        """Return a text with the paths in it as they are where these run."""
        return text

    def run(
        self,
        argv: Sequence[str],
        task: str,
        *,
        hear: Listener = silent,
        cwd: Path | None = None,
        hint: str = "",
    ) -> list[str]:
        """Run a command to its end and return its last lines; nothing of it survives this call.

        `task` says in an error what could not be done, `hint` what to do next.

        Raises:
            BuildError: it failed; with its last lines.
        """
        lines: deque[str] = deque(maxlen=400)
        with self.log.open("a", encoding="utf-8", errors="surrogateescape") as log:
            log.write(hide(f"$ {' '.join(argv)}\n"))

            def take(line: str) -> None:
                line = hide(line)
                log.write(line + "\n")
                log.flush()
                lines.append(line)
                hear(line)

            code = self._call(argv, cwd, take)
        if code != 0:
            raise BuildError(self._failure(task, code, list(lines), hint))
        return list(lines)

    def _call(self, argv: Sequence[str], cwd: Path | None, take: Listener) -> int:
        """Run a command, pass on its lines, and return its exit code, or 128 and its signal."""
        from launcher.agent.base.guard import guarded_argv  # noqa: PLC0415  # ctypes, 3 ms at every launch

        process = subprocess.Popen(
            guarded_argv([*argv]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=self._surroundings(),
            start_new_session=True,  # Ctrl-C is for the launcher, which then closes the pipe
        )
        try:
            for raw in process.stdout or ():
                take(raw.decode("utf-8", "replace").rstrip())
            return process.wait()
        finally:
            for pipe in (process.stdin, process.stdout):  # the end of stdin ends the guard
                if pipe is not None:
                    pipe.close()
            process.wait()

    def _failure(self, task: str, code: int, lines: list[str], hint: str) -> str:
        how = f"exit code {code}" if code < _SIGNALLED else f"signal {code - _SIGNALLED}"
        said = [line[:_WIDTH] for line in lines if line.strip()]
        last = said[-_LAST_LINES:]
        first = [
            line for line in said[:-_LAST_LINES] if re.search(r"\berror(?::| at\b)", line, re.IGNORECASE)
        ][:3]
        quoted = "\n".join(f"  | {line}" for line in (*first, *last))
        text = "\n".join(lines)
        hint = next((better for sign, better in self.hints.items() if re.search(sign, text)), hint)
        end = f"\n{hint}" if hint else ""
        return f"{task} failed ({how}).\n{quoted}\nThe whole log: {self.log}{end}"
