"""`launcher sweeps show`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from launcher.cli.output import Options, moment, say, say_json, table
from launcher.store.sweeps import AGAIN, DELETED, LOST, PENDING, find_sweep, open_members, state_of
from launcher.tables import Columns, label_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from launcher.paths import RunFolder
    from launcher.store.sweeps import Member, Sweep
    from launcher.sweep_view import Line

CAUSES = {
    LOST: "it never started, and its launcher or supervisor is gone",
    DELETED: "this run was deleted",
}


def run(options: Options) -> int:
    """Print a sweep with its members."""
    sweep = find_sweep(options.store, options.sweep)
    waits = settle_members([sweep])
    if options.json:
        say_json(describe(sweep, waits))
        return 0
    from launcher.sweep_view import HEADER, causes, cells, count_states  # noqa: PLC0415

    lines = _lines(sweep)
    states = [line.state for line in lines]
    record = sweep.record
    told = {
        "sweep": sweep.folder.id,
        "created": f"{moment(record['created'])} by {record['user']} on {record['host']}",
        "overrides": " ".join(sweep.overrides),
        "members": count_states(states),
        "resumed": f"{sweep.resumptions} time{'s' * (sweep.resumptions > 1)}" if sweep.resumptions else "",
    }
    if waits:
        told["waits"] = _reason(waits)
    for line in label_lines(((label, text) for label, text in told.items() if text), 11):
        say(line)
    say()
    table([name.upper() for name in HEADER], map(cells, lines), Columns(key=1, texts=2))
    failures = list(causes(lines))
    for text in ["", *failures] if failures else []:
        say(text)
    if AGAIN & set(states):
        say(f"\nnext       python -m launcher sweeps resume {sweep.folder.id}")
    return 0


def settle_members(sweeps: Iterable[Sweep]) -> dict[RunFolder, str]:
    """Let schedulers end what is over; return what they say of the rest."""
    runs = [member.run for sweep in sweeps for member in open_members(sweep)]
    if not runs:
        return {}
    from launcher.compute.jobs import settle  # noqa: PLC0415  # 40 ms that ended sweeps do not need

    return settle(runs)


def _reason(waits: Mapping[RunFolder, str]) -> str:
    from launcher.compute.jobs import first_reason  # noqa: PLC0415  # see `settle_members`

    return first_reason(waits)


def describe(sweep: Sweep, waits: Mapping[RunFolder, str]) -> dict[str, Any]:
    """Return a sweep with its members, ready for JSON.

    Args:
        sweep: the sweep.
        waits: why a scheduler lets runs wait.
    """
    from launcher.spec import plain  # noqa: PLC0415

    lines = _lines(sweep)
    members = [
        {
            "index": member.place,
            "run": line.run,
            "state": line.state,
            "seconds": line.seconds,
            "objective": line.objective,
            "returned": line.returned,
            "overrides": list(member.overrides),
            "cause": plain(line.cause),
            "waits": waits.get(member.run),
            "replaced": list(member.replaced),
        }
        for member, line in zip(sweep.members, lines, strict=True)
    ]
    head = overview(sweep, [line.state for line in lines])
    more = {key: sweep.record[key] for key in ("cwd", "max_parallel")}
    return {**head, **more, "resumptions": sweep.resumptions, "members": members}


def overview(sweep: Sweep, states: Sequence[str]) -> dict[str, Any]:
    """Return a sweep without its members, ready for JSON."""
    return {
        **{key: sweep.record.get(key) for key in ("id", "created", "user", "host")},
        "names": sweep.names,
        "overrides": sweep.overrides,
        "states": {state: states.count(state) for state in dict.fromkeys(states)},
        "damage": None if sweep.damage is None else str(sweep.damage),
    }


def _lines(sweep: Sweep) -> list[Line]:
    from launcher.sweep_view import labels  # noqa: PLC0415

    told = labels([member.overrides for member in sweep.members])
    return [_line(member, label) for member, label in zip(sweep.members, told, strict=True)]


def _line(member: Member, label: str) -> Line:
    from launcher.store.runs import Cause, read_run  # noqa: PLC0415
    from launcher.sweep_view import Line, summary_row  # noqa: PLC0415

    state = state_of(member)
    if state in CAUSES or (state == PENDING and member.claimed):
        cause = Cause(kind=state.lower(), message=CAUSES[state]) if state in CAUSES else None
        return Line(member.place, member.run.id, state, None, None, label, cause)
    return summary_row(member.place, read_run(member.run), label, time.time())
