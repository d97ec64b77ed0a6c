"""`launcher runs logs`: from any shell, on any host that sees the store."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from launcher.cli.damage import report
from launcher.cli.output import Options, Parser, number, say_json_line, say_note
from launcher.cli.runs_wait import Scheduler
from launcher.errors import NotFoundError
from launcher.follow import LIVENESS_EVERY_S
from launcher.store.find import find_run
from launcher.store.logs import Log, follow_lines, logs
from launcher.store.runs import read_run
from launcher.streams import output_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.paths import RunFolder


def add_options(parser: Parser) -> None:
    """Add the options of this verb."""
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the run is over")
    parser.add_argument("--rank", type=number("--rank"), help="of this process (default: 0)")
    parser.add_argument("--process", help="of this process by name, such as ps-0 or mpirun-0")
    parser.add_argument("--attempt", type=number("--attempt"), help="of this attempt (default: the newest)")


def _choose(folder: RunFolder, options: Options, attempt: int | None) -> Log:
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


def run(options: Options) -> int:
    """Print a log, to the end of the run if it is followed."""
    folder = find_run(options.store, options.run)
    code = report(read_run(folder), as_json=options.json)
    taken = folder.attempts()
    if options.attempt is not None and options.attempt not in taken:
        expected = ", ".join(map(str, taken)) or "none, it has not started"
        raise NotFoundError(f"{folder.id}: --attempt {options.attempt}: expected one of {expected}")
    attempt = options.attempt
    if attempt is None:
        attempt = taken[-1] if taken else 0
    printed = False
    while True:
        log = _choose(folder, options, attempt if taken else None)
        follow = _follow(folder, attempt, as_json=options.json)
        for lines in follow_lines(log.paths, follow if options.follow else _never):
            _print(log, lines, as_json=options.json)
            if output_error() is not None:  # nobody reads what follows
                return code
            printed = True
        later = [each for each in folder.attempts() if each > attempt]
        if not (options.follow and later and options.attempt is None):
            break
        attempt = later[0]
    run = read_run(folder)
    if not printed and not options.json:
        others = [other.process for other in logs(folder, log.attempt) if _has_lines(other)]
        hint = f". Output exists for --process {others[0]}" if others else ""
        say_note(f"{folder.id} {log.process} has printed nothing ({run.state}){hint}")
    elif options.follow:
        say_note(f"{folder.id}  {run.state}", as_json=options.json)
    return code or int(bool(run.damage))


def _has_lines(log: Log) -> bool:
    found = next((path for path in log.paths if path.exists()), None)
    return found is not None and found.stat().st_size > 0


def _follow(folder: RunFolder, number: int, *, as_json: bool) -> Callable[[], bool]:
    next_check, scheduler = 0.0, Scheduler(as_json=as_json)

    def follow() -> bool:
        nonlocal next_check
        if folder.end.exists() or folder.attempt_state(number + 1).exists():
            return False
        if time.monotonic() >= next_check:
            next_check = time.monotonic() + LIVENESS_EVERY_S
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
