"""`launcher runs list`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from launcher.cli.damage import report_rows
from launcher.cli.output import Options, Parser, add_limit, moment, pairs, say, say_json, table
from launcher.store.filters import parse_filters
from launcher.store.index import list_runs
from launcher.tables import Columns
from launcher.view import duration, value_text

if TYPE_CHECKING:
    from launcher.paths import RunFolder, StoreFolder
    from launcher.store.index import Row

LIMIT = 50
"""Rows unless more are asked for."""

MOST_VALUE = 20
"""Characters of a returned value."""

MOST_WAITS = 5
"""Runs that the text tells of why they wait; `--json` has all."""


def add_options(parser: Parser) -> None:
    """Add the options of this verb."""
    add_limit(parser, LIMIT)


def run(options: Options) -> int:
    """Print the newest runs that pass the filters."""
    store: StoreFolder = options.store
    filters = parse_filters(options.filters, time.time())
    limit = None if options.all else options.limit
    rows = list_runs(store, filters, limit)
    waiting = [row["id"].split("/") for row in rows if row.get("scheduled") and row["ended"] is None]
    said: dict[RunFolder, str] = {}
    if waiting:
        from launcher.compute.jobs import settle  # noqa: PLC0415  # only runs of a scheduler need it

        said = settle([store.run(name, int(number)) for name, number in waiting])
        rows = [dict(row) for row in list_runs(store, filters, limit)]
        for row in rows:
            name, number = row["id"].split("/")
            row["waits"] = said.get(store.run(name, int(number)))
    if options.json:
        say_json(rows)
        report_rows(rows, as_json=True)
        return 0
    if not rows:
        say(_empty_text(store, filtered=bool(options.filters)))
        return 0
    header = ("RUN", "STATE", "CREATED", "TIME", "METRICS", "TAGS", "OVERRIDES")
    table(header, [_row(row) for row in rows], Columns(texts=3))
    told = [f"{row['id']}: {row['waits']}" for row in rows if row["ended"] is None and row.get("waits")]
    more = [f"and {len(told) - MOST_WAITS} more"] if len(told) > MOST_WAITS else []
    for text in ["", *told[:MOST_WAITS], *more] if told else []:
        say(text)
    if not options.all and len(rows) == options.limit:
        say(f"\nThe newest {options.limit}; -n NUMBER or --all shows more")
    report_rows(rows, as_json=False)
    return 0


def _row(row: Row) -> tuple[str, ...]:
    took = "-" if row["started"] is None else duration((row["ended"] or time.time()) - row["started"])
    returned = {} if row["returned"] is None else {"returned": value_text(row["returned"], MOST_VALUE)}
    texts = (pairs({**row["metrics"], **returned}), pairs(row["tags"]), " ".join(row["overrides"]))
    return (row["id"], row["state"], moment(row["created"]), took, *texts)


def _empty_text(store: StoreFolder, *, filtered: bool) -> str:
    if filtered:
        return f"No run in {store.root} passes these filters; `python -m launcher runs list` shows all"
    return (
        f"No runs in {store.root} yet. `python -m launcher` starts one; "
        "another store is given by --store or LAUNCHER_STORE"
    )
