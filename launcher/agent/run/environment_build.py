"""The environment that a job builds for itself (`build_on: job`), by a process that agent 0 starts."""

from __future__ import annotations

import os
from typing import Any

from ..base import atomic_json
from ..base.process_logs import public_folder
from ..base.secret_env import CARRIER
from ..base.tmp import OWN_TMP

NAME = "environment-0"
"""Of the process that builds."""

LOG = "environment.log"


class EnvironmentBuild:
    """What is left to be done about the environment of a run before its processes start."""

    def __init__(self, run: str, number: int, submit: dict[str, Any]) -> None:
        self._run = run
        self._number = number
        environment: dict[str, Any] = submit.get("environment") or {}
        self._build: dict[str, Any] | None = environment.get("build")

    @property
    def needed(self) -> bool:
        """Whether the launcher left the build to the job."""
        return self._build is not None

    def paths(self) -> list[str]:
        """Return what this node must see: the submitter's Python, the launcher, local packages."""
        if self._build is None:
            return []
        return [self._build["python"], self._build["code"], *self._build.get("local", ())]

    def process(self, logs: str, mark: str) -> dict[str, Any]:
        """Return the process that builds, as a `start` message has it."""
        assert self._build is not None  # noqa: S101
        env = {
            "PYTHONPATH": self._build["code"],
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "LAUNCHER_CACHE": self._build["cache"],
            "TMPDIR": OWN_TMP,
            "LAUNCHER_MARK": mark,
        }
        env.update({CARRIER + name: "@{secret.%s}" % name for name in self._build.get("secrets", ())})
        return {
            "name": NAME,
            "argv": [self._build["python"], "-m", "launcher.prepare", self._run, str(self._number)],
            "env": env,
            "path_prefix": None,
            "cwd": "/",
            "log": os.path.join(logs, LOG),
        }

    def record(self, node: str) -> dict[str, Any]:
        """Return what the attempt knows of that process."""
        log = os.path.relpath(os.path.join(public_folder(self._run, self._number), LOG), self._run)
        return {"role": "environment", "index": 0, "rank": -1, "node": node, "log": log}

    def result(self) -> dict[str, Any]:
        """Return the environment as submit.json would have it, or `{"error": why}`."""
        path = os.path.join(self._run, "attempts", str(self._number), "environment.json")
        return atomic_json.read(path) or {"error": "it ended without a word"}
