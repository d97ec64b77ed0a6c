"""The first rank's line under mpirun, from the command line, beside bare mpirun of the same program."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.launches import first_line, mpirun, project
from benchmarks.paired import Bound, By, Comparison, in_turn, main

if TYPE_CHECKING:
    from benchmarks.launches import Project

MARK = "first line "
JOB = ("framework=python", "script=first_line.py", "data=none", "environment=current", "distribution=mpi")
SHAPES = (("2 ranks on a node", "processes_per_node=2"), ("2 nodes of 1 rank", "nodes=2"))


def measure(pairs: int | None) -> list[Comparison]:
    """Time until the line is read, and in the same runs from phase Running until it was written."""
    found: list[Comparison] = []
    bare = mpirun(sys.executable, "first_line.py")
    with project() as here:
        for what, shape in SHAPES:
            ours = here.argv(*JOB, shape, f"name={shape.partition('=')[0]}")
            running: list[float] = []
            written: list[float] = []

            def launched(ours: list[str] = ours, running: list[float] = running) -> float:
                took, line = first_line(ours, here, MARK)
                running.append(_moment(line) - _running(here))
                return took

            def unlaunched(written: list[float] = written) -> float:
                started = time.time()
                took, line = first_line(bare, here, MARK)
                written.append(_moment(line) - started)
                return took

            series = in_turn(launched, unlaunched, pairs or 15)
            later = Bound(sign="<=", value=1.0)
            kinds = (("", *series, later), (", from Running", tuple(running[1:]), tuple(written[1:]), None))
            found += [
                Comparison(
                    what=f"first line of {what}{kind}",
                    peer="bare mpirun -np 2",
                    unit="s",
                    ours=ours_s,
                    theirs=theirs_s,
                    by=By.DIFFERENCE,
                    bound=bound,
                )
                for kind, ours_s, theirs_s, bound in kinds
            ]
    return found


def _moment(line: str) -> float:
    return float(line.rpartition(MARK)[2])


def _running(here: Project) -> float:
    """Return when the newest run entered phase Running (seconds since the epoch)."""
    states = [json.loads(path.read_bytes()) for path in here.store.glob("runs/*/*/attempts/0/state.json")]
    return max(moment for state in states for phase, moment in state["phases"] if phase == "Running")


if __name__ == "__main__":
    main(measure, __doc__)
