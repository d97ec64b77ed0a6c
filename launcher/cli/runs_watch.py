"""`launcher runs logs` and `runs wait`: from any shell, on any host that sees the store."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from launcher.cli.damage import report
from launcher.cli.output import say, say_aside, say_json, say_json_line
from launcher.compute.jobs import first_reason, settle
from launcher.errors import NotFoundError
from launcher.spec import State
from launcher.store.find import find_run, find_runs
from launcher.store.index import summarize
from launcher.store.logs import Log, logs, tail
from launcher.store.runs import Run, read_run
from launcher.streams import output_error
from launcher.view import state_text

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from launcher.paths import RunFolder, StoreFolder

LIVENESS_S = 2.0
"""How often it is checked that what runs the run is alive."""
POLL_S = 0.2
MOST_TOLD = 20
"""Lines about runs that are not over."""


class _Scheduler:
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
                say_aside(f"{folder.id}: {first_reason(said)}", as_json=self._as_json)
        return said


def _choose(folder: RunFolder, options: argparse.Namespace, attempt: int | None) -> Log:
    """Return the log that is meant.

    Raises:
        NotFoundError: the run has no such process.
    """
    found = logs(folder, attempt)
    for log in found:
        if (log.process == options.process) if options.process else (log.rank == (options.rank or 0)):
            return log
    given = f"--process {options.process}" if options.process else f"--rank {options.rank or 0}"
    names = ", ".join(
        log.process if log.rank is None else f"{log.process} (rank {log.rank})" for log in found
    )
    raise NotFoundError(f"{folder.id}: {given}: there is no such process; expected {names or 'none'}")


def logs_command(store: StoreFolder, options: argparse.Namespace) -> int:
    """Print a log, to the end of the run if it is followed."""
    folder = find_run(store, options.run)
    code = report(read_run(folder), as_json=options.json)
    taken = folder.attempts()
    if options.attempt is not None and options.attempt not in taken:
        expected = ", ".join(map(str, taken)) or "none, it has not started"
        raise NotFoundError(f"{folder.id}: --attempt {options.attempt}: expected one of {expected}")
    number = options.attempt
    if number is None:
        number = taken[-1] if taken else 0
    printed = False
    while True:
        log = _choose(folder, options, number if taken else None)
        follow = _follow(folder, number, as_json=options.json)
        for lines in tail(log.paths, follow if options.follow else _never):
            _print(log, lines, as_json=options.json)
            if output_error() is not None:  # nobody reads what follows
                return code
            printed = True
        later = [attempt for attempt in folder.attempts() if attempt > number]
        if not (options.follow and later and options.attempt is None):
            break
        number = later[0]
    run = read_run(folder)
    if not printed and not options.json:
        others = [other.process for other in logs(folder, log.attempt) if _has_lines(other)]
        hint = f". Output exists for --process {others[0]}" if others else ""
        say_aside(f"{folder.id} {log.process} has printed nothing ({run.state}){hint}")
    elif options.follow:
        say_aside(f"{folder.id}  {run.state}", as_json=options.json)
    return code or int(bool(run.damage))


def _has_lines(log: Log) -> bool:
    found = next((path for path in log.paths if path.exists()), None)
    return found is not None and found.stat().st_size > 0


def _follow(folder: RunFolder, number: int, *, as_json: bool) -> Callable[[], bool]:
    next_check, scheduler = 0.0, _Scheduler(as_json=as_json)

    def follow() -> bool:
        nonlocal next_check
        if folder.end.exists() or folder.attempt_state(number + 1).exists():
            return False
        if time.monotonic() >= next_check:
            next_check = time.monotonic() + LIVENESS_S
            scheduler.ask([folder])
            return not read_run(folder).state.terminal
        return True

    return follow


def _never() -> bool:
    return False


def _print(log: Log, lines: bytes, *, as_json: bool) -> None:
    if not as_json:
        sys.stdout.buffer.write(lines)
        sys.stdout.buffer.flush()
        return
    for line in lines.decode("utf-8", "replace").splitlines():
        say_json_line({"process": log.process, "attempt": log.attempt, "line": line})


def wait_command(store: StoreFolder, options: argparse.Namespace) -> int:
    """Wait for runs to be over."""
    return wait_for([folder for text in options.runs for folder in find_runs(store, text)], options)


def wait_for(folders: Sequence[RunFolder], options: argparse.Namespace) -> int:
    """Wait for runs to be over; return the exit code."""
    left = list(folders)
    until = None if options.timeout is None else time.monotonic() + options.timeout
    over: list[Run] = []
    scheduler = _Scheduler(as_json=options.json)
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
        say_aside(text, as_json=options.json)
    if len(left) > MOST_TOLD:
        say_aside(f"and {len(left) - MOST_TOLD} more", as_json=options.json)
    return int(bool(left) or any(run.state is not State.COMPLETED for run in over))


def _end(run: Run) -> str:
    cause = f": {run.cause.message}" if run.cause is not None else ""
    return f"{run.id}  {state_text(run, time.time())}{cause}"
