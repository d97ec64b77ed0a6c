"""`launcher sweeps wait`, `cancel` and `resume`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.cli.damage import report
from launcher.cli.output import say, say_aside, say_json
from launcher.cli.runs_change import cancel
from launcher.cli.runs_watch import wait_for
from launcher.cli.sweeps_show import describe
from launcher.compute.jobs import settle
from launcher.errors import ConfigError, Problem
from launcher.store.runs import read_run
from launcher.store.sweeps import DAMAGED, DELETED, LOST, OVER, find_sweep, open_members, state_of

if TYPE_CHECKING:
    import argparse

    from launcher.paths import StoreFolder


def wait_command(store: StoreFolder, options: argparse.Namespace) -> int:
    """Wait for the members of a sweep to be over."""
    sweep = find_sweep(store, options.sweep)
    settle(member.run for member in open_members(sweep))
    states = {member.run: state_of(member) for member in sweep.members}
    gone = [run for run, state in states.items() if state in {LOST, DELETED}]
    code = wait_for([run for run in states if run not in gone], options)
    for run in gone:
        say_aside(f"{run.id}: {states[run]}", as_json=options.json)
    return 1 if gone else code


def cancel_command(store: StoreFolder, options: argparse.Namespace) -> int:
    """Ask for the end of members, and wait a little for it."""
    sweep = find_sweep(store, options.sweep)
    count = len(sweep.members)
    wrong = [number for number in options.members if not 0 <= number < count]
    if wrong:
        known = f"members of sweep {sweep.folder.id}: {'0' if count == 1 else f'0 to {count - 1}'}"
        raise ConfigError([Problem("NUMBER", number, known) for number in wrong])
    numbers: list[int] = options.members or list(range(count))
    chosen = [sweep.members[number] for number in dict.fromkeys(numbers)]
    return cancel([member.run for member in chosen if state_of(member) != DELETED], options)


def resume_command(store: StoreFolder, options: argparse.Namespace) -> int:
    """Run the members that did not complete."""
    sweep = find_sweep(store, options.sweep)
    from launcher.resume import member_states, resume  # noqa: PLC0415  # 100 ms that no other verb needs

    states = member_states(sweep)
    damaged = [
        report(read_run(member.run), as_json=options.json)
        for member, state in zip(sweep.members, states, strict=True)
        if state == DAMAGED
    ]
    code = resume(sweep, states, options.words, wait=not (options.detach or options.json))
    sweep = find_sweep(store, sweep.folder.id)
    if options.json:
        say_json(describe(sweep, settle(member.run for member in open_members(sweep))))
    if code is not None or damaged:
        return code or int(bool(damaged))
    if not options.json:
        still = "" if set(states) <= OVER else "; some are still running"
        say(f"sweep {sweep.folder.id}: no member failed, was canceled or never started{still}")
    return 0
