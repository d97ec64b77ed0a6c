"""How long after a script wrote a line it is seen on the launcher's standard output, beside a pipe."""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import quantiles
from typing import TYPE_CHECKING

from benchmarks.launches import PROGRAMS, project
from benchmarks.paired import Bound, By, Comparison, main

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.launches import Project

MARK = "written "
JOB = ("framework=python", "script=lines.py", "data=none", "environment=current")
LINES = 100  # 11 s a run


def measure(pairs: int | None) -> list[Comparison]:
    """Take the 50th and the 95th percentile of each run, in turn with a pipe from the same script."""
    with project() as here:
        ours = here.argv(*JOB, f"args.n={LINES}")
        theirs = [sys.executable, str(PROGRAMS / "lines.py"), str(LINES)]
        taken = [(_delays(ours, here), _delays(theirs, here)) for _ in range(pairs or 3)]
    return [
        Comparison(
            what=f"log line to screen, p{percent}",
            peer="pipe",
            unit="ms",
            ours=tuple(quantiles(pair[0], n=100)[percent - 1] for pair in taken),
            theirs=tuple(quantiles(pair[1], n=100)[percent - 1] for pair in taken),
            by=By.ITSELF,
            bound=Bound(sign="<=", value=100.0) if percent == 95 else None,  # noqa: PLR2004
        )
        for percent in (50, 95)
    ]


def _delays(argv: Sequence[str], here: Project) -> list[float]:
    """Return the delay of each line in milliseconds."""
    delays: list[float] = []
    with subprocess.Popen(
        argv,
        cwd=here.root,
        env=here.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        bufsize=1,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            seen = time.monotonic()
            if MARK in line:
                delays.append(1000 * (seen - float(line.rpartition(MARK)[2])))
    assert len(delays) == LINES
    return delays


if __name__ == "__main__":
    main(measure, __doc__)
