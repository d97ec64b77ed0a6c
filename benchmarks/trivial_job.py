"""One trivial local job, from the command line to its end, beside hydra-submitit and a plain Hydra app."""

from __future__ import annotations

from benchmarks.launches import TRIVIAL, hydra_app, project
from benchmarks.paired import Bound, Comparison, in_turn, main


def measure(pairs: int | None) -> list[Comparison]:
    """Time the same job under each."""
    app = hydra_app()
    peers = (
        ("hydra submitit_local", [*app, "--multirun", "hydra/launcher=submitit_local"], 0.4),
        ("hydra in-process", app, 1.5),
    )
    found: list[Comparison] = []
    with project() as here:
        ours = here.argv(*TRIVIAL)
        for name, theirs, most in peers:
            series = in_turn(
                lambda: here.seconds(ours),
                lambda theirs=theirs: here.seconds(theirs),
                pairs or 15,
            )
            bound = Bound(sign="<=", value=most)
            found.append(
                Comparison(
                    what="one trivial job", peer=name, unit="s", ours=series[0], theirs=series[1], bound=bound
                )
            )
    return found


if __name__ == "__main__":
    main(measure, __doc__)
