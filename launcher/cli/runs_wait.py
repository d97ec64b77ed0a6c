"""`launcher runs wait`: from any shell, on any host that sees the store."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from launcher.cli.output import Options, Parser, add_timeout, say, say_json, say_note
from launcher.compute.jobs import first_reason, settle
from launcher.spec import State
from launcher.store.find import find_runs
from launcher.store.index import summarize
from launcher.store.runs import Run, read_run
from launcher.view import cause_text, state_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.paths import RunFolder

POLL_S = 0.2
MOST_TOLD = 20
"""Lines about runs that are not over."""


class Scheduler:
    """Ends what is over, and tells on standard error why the first of the rest waits, where that is new."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._told = ""

    def ask(self, runs: Sequence[RunFolder]) -> dict[RunFolder, str]:
        """Return what is said of those that wait."""
        said = settle(runs)
        for folder, reason in list(said.items())[:1]:
            if reason != self._told:
                self._told = reason
                say_note(f"{folder.id}: {first_reason(said)}", as_json=self._as_json)
        return said


def add_options(parser: Parser) -> None:
    """Add the options of this verb."""
    add_timeout(parser)


def run(options: Options) -> int:
    """Wait for runs to be over."""
    return wait_for([folder for text in options.runs for folder in find_runs(options.store, text)], options)


def wait_for(folders: Sequence[RunFolder], options: Options) -> int:
    """Wait for runs to be over; return the exit code."""
    left = list(folders)
    until = None if options.timeout is None else time.monotonic() + options.timeout
    over: list[Run] = []
    scheduler = Scheduler(as_json=options.json)
    while True:
        looked = time.monotonic()
        said = scheduler.ask(left)
        runs = [read_run(folder) for folder in left]
        for run in runs:
            if run.state.terminal:
                over.append(run)
                if not options.json:
                    say(_end(run))
                    sys.stdout.flush()
        left = [run.folder for run in runs if not run.state.terminal]
        late = until is not None and time.monotonic() >= until
        if not left or late:
            break
        time.sleep(
            max(POLL_S, 4 * (time.monotonic() - looked))
        )  # a large sweep takes a fifth of a CPU, not all
    if options.json:
        open_ = [{**summarize(read_run(folder)), "waits": said.get(folder)} for folder in left]
        say_json([summarize(run) for run in over] + open_)
    for folder in left[:MOST_TOLD]:
        text = f"{folder.id}: still {read_run(folder).state} after {options.timeout:g} s"
        say_note(text, as_json=options.json)
    if len(left) > MOST_TOLD:
        say_note(f"and {len(left) - MOST_TOLD} more", as_json=options.json)
    return int(bool(left) or any(run.state is not State.COMPLETED for run in over))


def _end(run: Run) -> str:
    return f"{run.id}  {state_text(run, time.time())}{cause_text(run)}"
