"""Images a second of the same Horovod training under the launcher and under bare mpirun, 2 ranks each."""

from __future__ import annotations

import re

from benchmarks.launches import mpirun, project
from benchmarks.paired import Bound, Comparison, in_turn, main

JOB = ("script=horovod_steps.py", "data=none", "distribution=horovod", "example=none")
ROUNDS = 60  # some 5 s on two slow cores
SAID = re.compile(r"python (\S+) images/s ([0-9.]+)")


def measure(pairs: int | None) -> list[Comparison]:
    """Use the environment that the launcher builds for both."""
    found: list[Comparison] = []
    with project(own_cache=False) as here:
        first = SAID.search(here.output(here.argv(*JOB, "processes_per_node=2", "args.rounds=1")))
        assert first is not None
        bare = mpirun(first[1], "horovod_steps.py", str(ROUNDS))
        for what, shape, bound in (
            ("2 ranks on a node", "processes_per_node=2", Bound(sign=">=", value=0.98)),
            ("2 nodes of 1 rank", "nodes=2", None),
        ):
            ours = here.argv(*JOB, shape, f"args.rounds={ROUNDS}")
            series = in_turn(
                lambda ours=ours: _rate(here.output(ours)),
                lambda: _rate(here.output(bare)),
                pairs or (10 if bound else 2),
            )
            found.append(
                Comparison(
                    what=f"Horovod, {what}",
                    peer="bare mpirun -np 2",
                    unit="images/s",
                    ours=series[0],
                    theirs=series[1],
                    bound=bound,
                )
            )
    return found


def _rate(output: str) -> float:
    said = SAID.search(output)
    assert said is not None, output
    return float(said[2])


if __name__ == "__main__":
    main(measure, __doc__)
