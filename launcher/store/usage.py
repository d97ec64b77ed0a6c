"""Which runs of a store use which environment."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from launcher.agent.base.shared_fs import list_uncached
from launcher.store.filters import Filters
from launcher.store.index import list_runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from launcher.paths import StoreFolder


class Usage(NamedTuple):
    """The runs of a store by what names their environments: the key, and the image."""

    runs: Mapping[str, tuple[str, ...]]
    """Newest first."""
    open: frozenset[str]
    """Runs that are not over."""
    preparing_since: float | None
    """When the oldest run was created that is not over and has no environment yet; None: there is none."""

    def of(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the runs of an environment that goes by these names."""
        return tuple(dict.fromkeys(run for name in names for run in self.runs.get(name, ())))

    def needed(self, names: Iterable[str], used: float) -> bool:
        """Tell whether a run that is not over has an environment, or may be about to have it.

        Args:
            names: of the environment.
            used: when it was used last.
        """
        if any(run in self.open for run in self.of(names)):
            return True
        return self.preparing_since is not None and used >= self.preparing_since


def usage(store: StoreFolder, digits: int, *, sure: bool = False) -> Usage:
    """Return which runs use what.

    Args:
        store: to look into.
        digits: of a key that count.
        sure: also those that another host has launched just now, whatever this one remembers of the store.
    """
    runs: dict[str, list[str]] = {}
    still_open: list[str] = []
    preparing: list[float] = []
    for folder in (store.runs, *map(store.experiment, store.experiments())) if sure else ():
        with suppress(OSError):  # there is no run yet, or the store is somebody else's
            list_uncached(str(folder))
    for row in list_runs(store, Filters(), None):
        if row["ended"] is None:
            still_open.append(row["id"])
            if row["environment"] is None:
                preparing.append(0.0 if row["damage"] else row["created"])  # it may have begun at any time
        for name in {str(row["environment"] or "")[:digits], row["image"] or ""} - {""}:
            runs.setdefault(name, []).append(row["id"])
    return Usage(
        {name: tuple(ids) for name, ids in runs.items()}, frozenset(still_open), min(preparing, default=None)
    )
