"""`launcher runs cancel`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from launcher.cli.damage import report
from launcher.cli.output import Options, say_json, say_note, say_text
from launcher.cli.runs_wait import POLL_S
from launcher.compute.jobs import cancel as end_jobs
from launcher.compute.jobs import settle
from launcher.errors import LauncherError
from launcher.store.find import find_runs
from launcher.store.runs import read_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from launcher.paths import RunFolder
    from launcher.store.run_state import Run

CANCEL_WAIT_S = 10.0
"""A supervisor sees the request within half a second and gives processes five to end."""


def run(options: Options) -> int:
    """Ask for the end of runs, and wait a little for it."""
    return cancel([folder for text in options.runs for folder in find_runs(options.store, text)], options)


def cancel(folders: Sequence[RunFolder], options: Options) -> int:
    """Ask for the end of runs, and wait a little for it; return the exit code."""
    runs = [read_run(folder) for folder in folders]
    states = {run.id: str(run.state) for run in runs if run.state.terminal}
    left = [run.folder for run in runs if not run.state.terminal]
    damaged = [run for run in runs if run.damage]
    for run in damaged:
        _cancel_damaged(run, options)
    for run in runs:
        if run.state.terminal and not run.damage:
            say_text(options, f"{run.id}  {run.state}, it was over before")
    problem = end_jobs(left)
    if problem:
        say_note(problem, as_json=options.json)
    for run in _await_ends(left):
        states[run.id] = str(run.state)
        say_text(options, f"{run.id}  {run.state}")
        left.remove(run.folder)
    for folder in left:
        run = read_run(folder)
        states[folder.id] = str(run.state)
        what = "its processes are still ending" if run.attempts else "it has not begun, and is not over yet"
        say_text(options, f"{folder.id}  {states[folder.id]}: {what}; `runs wait {folder.id}`")
    if options.json:
        say_json([{"id": name, "state": state} for name, state in states.items()])
    return int(bool(problem or damaged))


def _await_ends(folders: Sequence[RunFolder]) -> Iterator[Run]:
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


def _cancel_damaged(run: Run, options: Options) -> None:
    """Ask for the end of a run of which nobody can say whether it is over."""
    report(run, as_json=options.json)
    try:
        problem = end_jobs([run.folder])
    except LauncherError as error:
        problem = str(error)
    say_text(options, f"{run.id}  {run.state}: {problem or 'if it still runs, it ends now'}")
