"""`launcher env list`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.cli.damage import report_store
from launcher.cli.env_entries import as_json, brief, find, say_left_out
from launcher.cli.output import Options, moment, say, say_json, size, table
from launcher.paths import cache_root

if TYPE_CHECKING:
    from launcher.cli.env_entries import EnvironmentList
    from launcher.environment.cache.inventory import Entry

SHORT = 12
"""Digits of a key that are shown."""
BRIEF = 60
"""Letters of what it is for."""


def run(options: Options) -> int:
    """Print the environments."""
    with find(options.store, cache_root()) as found:
        say_left_out(found, as_json=options.json)
    report_store(options.store, as_json=options.json)
    if options.json:
        say_json([as_json(entry, found) for entry in found.entries])
        return 0
    if not found.entries:
        say(
            f"No environments in {cache_root()} yet. A launch builds its own; "
            "`python -m launcher env build` with its words builds it without launching"
        )
        return 0
    header = ("KEY", "KIND", "SIZE", "CREATED", "USED", "RUNS", "FOR")
    table(header, [_row(entry, found) for entry in found.entries])
    return 0


def _row(entry: Entry, found: EnvironmentList) -> tuple[str, ...]:
    runs = str(len(found.usage.of(entry.names)))
    what = brief(entry)
    what = what if len(what) <= BRIEF else f"{what[: BRIEF - 2].rstrip()} …"
    times = (moment(entry.created), moment(entry.used))
    return (entry.key[:SHORT], entry.kind, size(entry.size), *times, runs, what)
