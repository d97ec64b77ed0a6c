"""How commands report runs whose records are damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.cli.output import say_note
from launcher.store.filters import Filters
from launcher.store.index import list_runs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.paths import StoreFolder
    from launcher.store.index import Row
    from launcher.store.run_state import Run

MOST = 10
"""Runs whose damage has a line."""


def report(run: Run, *, as_json: bool) -> int:
    """Report a run's damage on standard error; return the exit code, 0 if there is none."""
    for damage in run.damage:
        say_note(f"{run.id}: {damage}", as_json=as_json)
    return int(bool(run.damage))


def report_rows(rows: Iterable[Row], *, as_json: bool) -> None:
    """Report on standard error which runs of a list are damaged."""
    damaged = [row for row in rows if row["damage"]]
    for row in damaged[:MOST]:
        say_note(f"{row['id']}: {row['cause']['message']}", as_json=as_json)
    if len(damaged) > MOST:
        more = f"and {len(damaged) - MOST} more damaged runs; `runs list state=damaged` shows all"
        say_note(more, as_json=as_json)


def report_store(store: StoreFolder, *, as_json: bool) -> None:
    """Report on standard error the damaged runs of a store, for a command that asks what its runs use."""
    filters = Filters()
    filters.states.add("Damaged")
    report_rows(list_runs(store, filters, None), as_json=as_json)
