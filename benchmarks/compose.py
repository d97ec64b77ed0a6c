"""200 members of a sweep, composed and resolved, beside Hydra's own composition of the same members."""

from __future__ import annotations

import time

from hydra import compose, initialize_config_dir

from benchmarks.launches import PROGRAMS, project
from benchmarks.paired import Bound, By, Comparison, in_turn, main
from launcher.config.compose import installed_conf
from launcher.config.load import load_sweep

JOB = ("framework=python", "data=none", f"source={PROGRAMS}", "script=trivial.py")
SWEEP = ("args.a=range(50)", "nodes=1,2", "distribution=single,mpi")
MEMBERS = 200


def measure(pairs: int | None) -> list[Comparison]:
    """Time both in this process: what a sweep spends between its imports and its submit."""
    with project() as here:

        def ours() -> float:
            started = time.perf_counter()
            members = load_sweep([*JOB, *SWEEP], here.root)
            taken = time.perf_counter() - started
            assert len(members) == MEMBERS
            return taken

        members = [list(member.overrides) for member in load_sweep([*JOB, *SWEEP], here.root)]

        def theirs() -> float:
            started = time.perf_counter()
            with initialize_config_dir(str(installed_conf()), version_base="1.3"):
                for member in members:
                    compose("config", member)
            return time.perf_counter() - started

        series = in_turn(ours, theirs, pairs or 3)
    return [
        Comparison(
            what=f"{MEMBERS} members composed",
            peer="hydra.compose",
            unit="s",
            ours=series[0],
            theirs=series[1],
            by=By.ITSELF,
            bound=Bound(sign="<=", value=2.0),
        )
    ]


if __name__ == "__main__":
    main(measure, __doc__)
