"""`launcher sweeps wait`."""

from __future__ import annotations

from launcher.cli.output import Options, Parser, add_timeout, say_note
from launcher.cli.runs_wait import wait_for
from launcher.cli.sweeps_show import settle_members
from launcher.store.sweeps import DELETED, LOST, find_sweep, state_of


def add_options(parser: Parser) -> None:
    """Add the options of this verb."""
    add_timeout(parser)


def run(options: Options) -> int:
    """Wait for the members of a sweep to be over."""
    sweep = find_sweep(options.store, options.sweep)
    settle_members([sweep])
    states = {member.run: state_of(member) for member in sweep.members}
    gone = [run for run, state in states.items() if state in {LOST, DELETED}]
    code = wait_for([run for run in states if run not in gone], options)
    for run in gone:
        say_note(f"{run.id}: {states[run]}", as_json=options.json)
    return 1 if gone else code
