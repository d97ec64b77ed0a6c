"""`launcher runs cancel`, `rerun` and `delete`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from launcher.cli.damage import report
from launcher.cli.output import say, say_aside, say_json
from launcher.cli.runs_watch import POLL_S
from launcher.compute.jobs import cancel as end_jobs
from launcher.compute.jobs import settle
from launcher.errors import DeleteError, LauncherError
from launcher.paths import LATEST
from launcher.store.find import find_run, find_runs
from launcher.store.index import summarize
from launcher.store.runs import delete, read_run

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from launcher.paths import RunFolder, StoreFolder
    from launcher.store.fold import Run

CANCEL_WAIT_S = 10.0
"""A supervisor sees the request within half a second and gives processes five to end."""


def cancel_command(store: StoreFolder, options: argparse.Namespace) -> int:
    """Ask for the end of runs, and wait a little for it."""
    return cancel([folder for text in options.runs for folder in find_runs(store, text)], options)


def cancel(folders: Sequence[RunFolder], options: argparse.Namespace) -> int:
    """Ask for the end of runs, and wait a little for it; return the exit code."""
    runs = [read_run(folder) for folder in folders]
    states = {run.id: str(run.state) for run in runs if run.state.terminal}
    left = [run.folder for run in runs if not run.state.terminal]
    damaged = [run for run in runs if run.damage]
    for run in damaged:
        _cancel_damaged(run, options)
    for run in runs:
        if run.state.terminal and not run.damage:
            _tell(options, f"{run.id}  {run.state}, it was over before")
    problem = end_jobs(left)
    if problem:
        say_aside(problem, as_json=options.json)
    for run in _ended(left):
        states[run.id] = str(run.state)
        _tell(options, f"{run.id}  {run.state}")
        left.remove(run.folder)
    for folder in left:
        run = read_run(folder)
        states[folder.id] = str(run.state)
        what = "its processes are still ending" if run.attempts else "it has not begun, and is not over yet"
        _tell(options, f"{folder.id}  {states[folder.id]}: {what}; `runs wait {folder.id}`")
    if options.json:
        say_json([{"id": name, "state": state} for name, state in states.items()])
    return int(bool(problem or damaged))


def _ended(folders: Sequence[RunFolder]) -> Iterator[Run]:
    """Yield runs as they end, for a little while."""
    left = list(folders)
    until = time.monotonic() + CANCEL_WAIT_S
    while left and time.monotonic() < until:
        settle(left)
        for run in [read_run(folder) for folder in left]:
            if run.state.terminal:
                left.remove(run.folder)
                yield run
        if left:
            time.sleep(POLL_S)


def _cancel_damaged(run: Run, options: argparse.Namespace) -> None:
    """Ask for the end of a run of which nobody can say whether it is over."""
    report(run, as_json=options.json)
    try:
        problem = end_jobs([run.folder])
    except LauncherError as error:
        problem = str(error)
    _tell(options, f"{run.id}  {run.state}: {problem or 'if it still runs, it ends now'}")


def rerun_command(store: StoreFolder, options: argparse.Namespace) -> int:
    """Run what a run has frozen again."""
    folder = find_run(store, options.run)
    from launcher.rerun import rerun  # noqa: PLC0415  # 100 ms that no other verb needs

    code = rerun(folder, wait=not (options.detach or options.json))
    if options.json:
        say_json(summarize(read_run(find_run(store, f"{folder.root.parent.name}/{LATEST}"))))
    return code


def delete_command(store: StoreFolder, options: argparse.Namespace) -> int:
    """Remove runs.

    Raises:
        DeleteError: with those that cannot be removed; the others are.
    """
    deleted: list[str] = []
    problems: list[str] = []
    codes: list[int] = []
    for folder in [folder for text in options.runs for folder in find_runs(store, text, replaced=True)]:
        try:
            delete(folder, force=options.force)
            deleted.append(folder.id)
            _tell(options, f"{folder.id}  deleted")
        except LauncherError as error:
            problems.append(str(error))
            codes.append(error.exit_code)
    if options.json:
        say_json([{"id": name, "state": "Deleted"} for name in deleted])
    if problems:
        raise DeleteError(problems, 1 if deleted else min(codes))
    return 0


def _tell(options: argparse.Namespace, text: str) -> None:
    if not options.json:
        say(text)
