"""The order of a sweep's arrays, so that `max_parallel` holds for all of them together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(slots=True)
class _Lane:
    """Room for one member after another."""

    load: float
    """Members before the next one."""
    jobs: tuple[str, ...]
    """The jobs whose members have it last."""


class Lanes:
    """As many lanes as members may run at once; an array takes some, and begins after those that had them.

    The scheduler keeps the order by its dependencies, so that nobody has to watch.
    """

    def __init__(self, lanes: int, jobs: Iterable[str] = ()) -> None:
        """Begin with lanes that all belong to some jobs.

        Args:
            lanes: how many members may run at once.
            jobs: of the same sweep, that may be there already.
        """
        before = tuple(jobs)
        self._lanes = [_Lane(0.0, before) for _ in range(lanes)]

    def choose(self, members: int) -> tuple[int, list[str]]:
        """Return how many members of the next array may run at once, and the jobs that it has to wait for."""
        chosen = self._first(members)
        return len(chosen), sorted({job for lane in chosen for job in lane.jobs})

    def take(self, members: int, job: str) -> None:
        """Give the lanes that `choose` named to an array which the scheduler has accepted."""
        chosen = self._first(members)
        load = max(lane.load for lane in chosen) + members / len(chosen)
        for lane in chosen:
            lane.load, lane.jobs = load, (job,)

    def _first(self, members: int) -> list[_Lane]:
        return sorted(self._lanes, key=lambda lane: lane.load)[:members]
