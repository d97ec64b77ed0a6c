"""`python -m launcher.prepare RUN ATTEMPT`: builds a run's environment in its job, for agent 0, which waits.

What it tells goes to `logs/environment.log`; what comes of it to `attempts/<k>/environment.json`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from launcher import streams
from launcher.agent.base.startup import use_utf8
from launcher.capabilities import Capabilities, EnvironmentRequest, Framework
from launcher.distribution import CHOICES
from launcher.environment.build.deferred_build import facts_of, restore
from launcher.environment.packages import Packages
from launcher.errors import LauncherError
from launcher.paths import RunFolder
from launcher.spec import plain
from launcher.store import records
from launcher.store.ownership import open_cache
from launcher.store.runs import read_frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from launcher.spec import Prepared

_EVERY_S = 5.0


class Lines:
    """Progress as lines; one that only counts on is repeated now and then."""

    def __init__(self) -> None:
        self._last = ("", 0.0)

    def step(self, text: str, done: float | None = None) -> None:
        """See `Progress.step`."""
        del done
        word, now = text.partition(" ")[0], time.monotonic()
        if word != self._last[0] or now - self._last[1] >= _EVERY_S:
            print(text, flush=True)  # noqa: T201  # the log
            self._last = (word, now)


def prepare(run: RunFolder, attempt: int) -> int:
    """Build; return the exit code."""
    try:
        submit, frozen, _ = read_frozen(run)
    except LauncherError as error:
        print(error, flush=True)  # noqa: T201
        return 1
    try:
        found = plain(_built(frozen, submit["environment"]["build"]))
        code = 0
    except LauncherError as error:
        print(error, flush=True)  # noqa: T201
        found, code = {"error": str(error).splitlines()[0]}, 1
    records.write(run.attempt_environment(attempt), found)
    return code


def _built(frozen: Mapping[str, Any], build: Mapping[str, Any]) -> Prepared:
    given = {name: value for name, value in frozen["environment"].items() if name != "kind"}
    with tempfile.TemporaryDirectory(prefix="launcher-") as folder:
        options = restore(Packages(**given), build, Path(folder))
        request = EnvironmentRequest(
            framework=Framework(**frozen["framework"]),
            gpus=frozen["resources"]["gpus_per_node"] > 0,
            needs=CHOICES[frozen["distribution"]["kind"]]().needs,
            target=Capabilities(),
            compute=frozen["compute"]["kind"],
            deferrable=False,
        )
        return options.prepare(request, facts_of(build), open_cache(), Lines(), Path(folder))


if __name__ == "__main__":
    streams.open_standard()
    use_utf8(sys.orig_argv[1:])
    sys.exit(prepare(RunFolder(Path(sys.argv[1])), int(sys.argv[2])))
