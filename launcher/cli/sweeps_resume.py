"""`launcher sweeps resume`."""

from __future__ import annotations

from launcher.cli.damage import report
from launcher.cli.output import Options, Parser, say, say_json
from launcher.cli.sweeps_show import describe, settle_members
from launcher.store.runs import read_run
from launcher.store.sweeps import DAMAGED, OVER, find_sweep


def add_options(parser: Parser) -> None:
    """Add the options of this verb."""
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help="of a launch: refuse if it would not be what is frozen"
    )
    parser.add_argument(
        "--detach",
        action="store_true",
        help="do not wait for the end (nor with --json, which prints the sweep)",
    )


def run(options: Options) -> int:
    """Run the members that did not complete."""
    sweep = find_sweep(options.store, options.sweep)
    from launcher.resume import member_states, resume  # noqa: PLC0415  # 100 ms that no other verb needs

    states = member_states(sweep)
    damaged = [
        report(read_run(member.run), as_json=options.json)
        for member, state in zip(sweep.members, states, strict=True)
        if state == DAMAGED
    ]
    code = resume(sweep, states, options.words, wait=not (options.detach or options.json))
    sweep = find_sweep(options.store, sweep.folder.id)
    if options.json:
        say_json(describe(sweep, settle_members([sweep])))
    if code is not None or damaged:
        return code or int(bool(damaged))
    if not options.json:
        still = "" if set(states) <= OVER else "; some are still running"
        say(f"sweep {sweep.folder.id}: no member failed, was canceled or never started{still}")
    return 0
