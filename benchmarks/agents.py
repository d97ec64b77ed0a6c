"""64 agents of one run, as processes of this machine: until all have met, and what one keeps in memory."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.launches import project
from benchmarks.paired import Bound, By, Comparison, in_turn, main

if TYPE_CHECKING:
    from benchmarks.launches import Project

AGENTS = 64
JOB = ("framework=python", "script=resident.py", "data=none", "environment=current", "distribution=torch")


def measure(pairs: int | None) -> list[Comparison]:
    """Time phase Starting: the other agents are started, find agent 0 and prove themselves."""
    with project() as here:
        argv = here.argv(*JOB, f"nodes={AGENTS}")
        resident: list[float] = []

        def met() -> float:
            output = here.output(argv)
            resident.append(float(output.partition("resident ")[2].split()[0]))
            return _starting(here)

        met_s, bare_s = in_turn(met, _bare, pairs or 5)
    alone = tuple(resident[1:])
    return [
        Comparison(
            what=f"rendezvous of {AGENTS} agents", peer="python -c pass, as many at once", unit="s",
            ours=met_s, theirs=bare_s, by=By.ITSELF, bound=Bound(sign="<=", value=3.0),
        ),
        Comparison(
            what="an agent's resident memory", peer="-", unit="MB",
            ours=alone, theirs=alone, by=By.ITSELF, bound=Bound(sign="<=", value=30.0),
        ),
    ]  # fmt: skip


def _starting(here: Project) -> float:
    """Return how long the newest run was in phase Starting."""
    newest = max(here.store.glob("runs/*/*/attempts/0/state.json"), key=lambda path: path.stat().st_mtime)
    moments = dict(reversed(json.loads(newest.read_bytes())["phases"]))
    return moments["Running"] - moments["Starting"]


def _bare() -> float:
    started = time.perf_counter()
    all_of_them = [subprocess.Popen([sys.executable, "-I", "-S", "-c", "pass"]) for _ in range(AGENTS)]
    for process in all_of_them:
        process.wait()
    return time.perf_counter() - started


if __name__ == "__main__":
    main(measure, __doc__)
