"""`launcher sweeps list`."""

from __future__ import annotations

from launcher.cli.output import Options, Parser, add_limit, moment, say, say_json, say_note, table
from launcher.cli.sweeps_show import overview, settle_members
from launcher.store.sweeps import DAMAGED, list_sweeps, state_of
from launcher.tables import Columns

LIMIT = 20
"""Rows unless more are asked for."""


def add_options(parser: Parser) -> None:
    """Add the options of this verb."""
    add_limit(parser, LIMIT)


def run(options: Options) -> int:
    """Print the newest sweeps."""
    from launcher.sweep_view import count_states  # noqa: PLC0415

    sweeps = list_sweeps(options.store, None if options.all else options.limit)
    for sweep in sweeps:
        if sweep.damage is not None:
            say_note(f"sweep {sweep.folder.id}: {sweep.damage}", as_json=options.json)
    settle_members(sweeps)
    states = [[state_of(member) for member in sweep.members] for sweep in sweeps]
    if options.json:
        say_json([overview(sweep, own) for sweep, own in zip(sweeps, states, strict=True)])
        return 0
    if not sweeps:
        say(f"No sweeps in {options.store.root} yet. `python -m launcher -m KEY=VALUE,VALUE` starts one")
        return 0
    rows = [
        (
            sweep.folder.id,
            ",".join(sweep.names),
            moment(sweep.record.get("created")),
            count_states(own) if sweep.damage is None else DAMAGED,
            " ".join(sweep.overrides),
        )
        for sweep, own in zip(sweeps, states, strict=True)
    ]
    table(("SWEEP", "NAME", "CREATED", "MEMBERS", "OVERRIDES"), rows, Columns(texts=2))
    if not options.all and len(rows) == options.limit:
        say(f"\nThe newest {options.limit}; -n NUMBER or --all shows more")
    return 0
