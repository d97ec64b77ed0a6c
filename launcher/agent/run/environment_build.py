"""The environment that a job builds for itself (`build_on: job`), by a process that agent 0 starts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

from ..base import atomic_json
from ..base.process_logs import public_folder
from ..base.secret_env import CARRIER
from ..base.tmp import OWN_TMP
from .process_records import new_record

if TYPE_CHECKING:
    from ..base.record_types import Environment, ProcessRecord, Submit
    from ..messages import Process

NAME = "environment-0"
"""Of the process that builds."""

LOG = "environment.log"


class Builder:
    """What is left to be done about the environment of a run before its processes start."""

    def __init__(self, run: str, number: int, submit: Submit) -> None:
        self._run = run
        self._number = number
        self._build = (submit.get("environment") or {}).get("build")

    @property
    def needed(self) -> bool:
        """Whether the launcher left the build to the job."""
        return self._build is not None

    def paths(self) -> list[str]:
        """Return what this node must see: the submitter's Python, the launcher, local packages."""
        if self._build is None:
            return []
        return [self._build["python"], self._build["code"], *self._build.get("local", ())]

    def process(self, logs: str, mark: str) -> Process:
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

    def record(self, node: str) -> ProcessRecord:
        """Return what the attempt knows of that process."""
        log = os.path.relpath(os.path.join(public_folder(self._run, self._number), LOG), self._run)
        return new_record("environment", node, log)

    def result(self) -> tuple[Environment | None, str]:
        """Return the environment as submit.json would have it, None where there is none; and why."""
        path = os.path.join(self._run, "attempts", str(self._number), "environment.json")
        found = atomic_json.read(path) or {"error": "it ended without a word"}
        return (None, str(found["error"])) if "error" in found else (cast("Environment", found), "")
