"""From what a user types to runs: `mnist/42`, `latest`, `mnist/latest`, a sweep's id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.errors import NotFoundError, nearest
from launcher.paths import LATEST
from launcher.store import records
from launcher.store.filters import Filters
from launcher.store.index import list_runs
from launcher.store.sweeps import read_sweep

if TYPE_CHECKING:
    from launcher.paths import RunFolder, StoreFolder


def find_run(store: StoreFolder, text: str) -> RunFolder:
    """Return the one run that is meant.

    Raises:
        NotFoundError: there is none, or it is a sweep of several.
    """
    folders = find_runs(store, text)
    if len(folders) > 1:
        ids = ", ".join(folder.id for folder in folders[:5])
        raise NotFoundError(f"{text}: this is a sweep of {len(folders)} runs ({ids}, …); give one of them")
    return folders[0]


def find_runs(store: StoreFolder, text: str, *, replaced: bool = False) -> list[RunFolder]:
    """Return the run that is meant, or the members of a sweep in their order.

    Args:
        store: where to look.
        text: what was typed.
        replaced: of a sweep also the runs that others took the place of.

    Raises:
        NotFoundError: there is none.
    """
    name, slash, number = text.rstrip("/").rpartition("/")
    if number == LATEST:
        found = _latest(store, name if slash else None)
        return [found] if found else _refuse(store, text)
    if slash and number.isdecimal() and "/" not in name and name not in {"", ".", ".."}:
        folder = store.run(name, int(number))
        return [folder] if folder.recorded else _refuse(store, text)
    sweep = None if slash or replaced or not text else read_sweep(store.sweep(text))
    if sweep is not None:
        return [member.run for member in sweep.members if member.run.recorded] or _refuse(store, text)
    if not slash:
        rows = list_runs(store, Filters(sweep=text), None)
        if rows:
            ids = [row["id"].split("/") for row in rows]
            ids.sort(key=lambda part: int(part[1]))
            return [store.run(part[0], int(part[1])) for part in ids]
    return _refuse(store, text)


def _latest(store: StoreFolder, name: str | None) -> RunFolder | None:
    """Return the newest run; within an experiment numbers grow with time."""
    newest: tuple[float, RunFolder] | None = None
    for experiment in [name] if name is not None else store.experiments():
        for number in sorted(store.numbers(experiment), reverse=True):
            folder = store.run(experiment, number)
            if folder.recorded:
                submit = records.read(folder.submit) or {}
                created = float(submit.get("created") or folder.root.stat().st_mtime)
                newest = max(newest or (created, folder), (created, folder), key=lambda pair: pair[0])
                break
    return newest[1] if newest else None


def _refuse(store: StoreFolder, text: str) -> list[RunFolder]:
    names = store.experiments()
    if not names:
        hint = "Another one is given by --store or LAUNCHER_STORE"
        raise NotFoundError(f"{text}: the store {store.root} has no runs. {hint}")
    name = text.rpartition("/")[0]
    hint = nearest(name or text, names) if name not in names else ""
    hint = (
        hint or "`python -m launcher runs list` shows all; one is given as NAME/NUMBER, NAME/latest or latest"
    )
    raise NotFoundError(f"{text}: the store {store.root} has no such run. {hint}")
