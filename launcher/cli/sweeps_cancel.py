"""`launcher sweeps cancel`."""

from __future__ import annotations

from launcher.cli.output import Options, Parser, number
from launcher.cli.runs_cancel import cancel
from launcher.errors import ConfigError, Problem
from launcher.store.sweeps import DELETED, find_sweep, state_of


def add_options(parser: Parser) -> None:
    """Add the options of this verb."""
    parser.add_argument(
        "members",
        nargs="*",
        type=number("NUMBER"),
        metavar="NUMBER",
        help="of a member in the sweep, as `show` has it",
    )


def run(options: Options) -> int:
    """Ask for the end of members, and wait a little for it."""
    sweep = find_sweep(options.store, options.sweep)
    count = len(sweep.members)
    wrong = [number for number in options.members if not 0 <= number < count]
    if wrong:
        known = f"members of sweep {sweep.folder.id}: {'0' if count == 1 else f'0 to {count - 1}'}"
        raise ConfigError([Problem("NUMBER", number, known) for number in wrong])
    numbers: list[int] = options.members or list(range(count))
    chosen = [sweep.members[number] for number in dict.fromkeys(numbers)]
    return cancel([member.run for member in chosen if state_of(member) != DELETED], options)
