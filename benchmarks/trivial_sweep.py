"""A sweep of 50 trivial local jobs: jobs a second beside Hydra's launchers."""

from __future__ import annotations

from benchmarks.launches import TRIVIAL, hydra_app, project
from benchmarks.paired import Bound, Comparison, in_turn, main

JOBS = 50


def measure(pairs: int | None) -> list[Comparison]:
    """Time the same sweep under each; submitit_local is slow enough for fewer pairs."""
    app = [*hydra_app(), "--multirun", f"+x=range(0,{JOBS})"]
    peers = (
        ("hydra submitit_local", [*app, "hydra/launcher=submitit_local"], 15.0, 3),
        ("hydra basic, in-process", app, 3.0, 7),
    )
    found: list[Comparison] = []
    with project() as here:
        ours = here.argv(*TRIVIAL, "--multirun", f"args.x=range(0,{JOBS})")
        for name, theirs, least, default in peers:
            series = in_turn(
                lambda: JOBS / here.seconds(ours),
                lambda theirs=theirs: JOBS / here.seconds(theirs),
                pairs or default,
            )
            bound = Bound(sign=">=", value=least)
            what = f"{JOBS} trivial jobs"
            found.append(
                Comparison(what=what, peer=name, unit="jobs/s", ours=series[0], theirs=series[1], bound=bound)
            )
    return found


if __name__ == "__main__":
    main(measure, __doc__)
