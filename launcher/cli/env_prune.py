"""`launcher env prune`: removes what is no longer needed of environments."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from launcher.cli.damage import report_store
from launcher.cli.env_entries import find, say_left_out
from launcher.cli.output import Options, Parser, say, say_json, size, table
from launcher.environment.cache import prune
from launcher.errors import ConfigError, Problem
from launcher.paths import cache_root
from launcher.store.filters import UNITS
from launcher.tables import Columns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from launcher.cli.env_entries import EnvironmentList
    from launcher.environment.cache.prune import Waste

UNUSED_FOR = "30d"


def add_options(parser: Parser) -> None:
    """Add the options of this verb."""
    parser.add_argument(
        "--unused-for",
        default=UNUSED_FOR,
        metavar="TIME",
        help="such as 12h, 30d, 8w (default: %(default)s)",
    )
    parser.add_argument("--all", action="store_true", help="however recently they were used")
    parser.add_argument("--dry-run", action="store_true", help="remove nothing, print what would be")


def run(options: Options) -> int:
    """Remove, or with `--dry-run` only tell.

    Raises:
        ConfigError: the time is none.
    """
    before = time.time() - (0 if options.all else seconds(options.unused_for))
    cache = cache_root()
    with find(options.store, cache, sure=True) as found:
        say_left_out(found, as_json=options.json)
        report_store(options.store, as_json=options.json)
        waste = _waste(found, cache, before)
        left = {} if options.dry_run else _remove(waste, cache, found.client)
    if options.json:
        rows: list[dict[str, Any]] = [{**prune.as_json(each), "problem": left.get(each)} for each in waste]
        say_json({"dry_run": options.dry_run, "removed": rows, "images_left_out": found.left_out or None})
        return 0
    _tell(waste, left, dry_run=options.dry_run)
    return 0


def seconds(text: str) -> float:
    """Return a time given as `30d`.

    Raises:
        ConfigError: it is none.
    """
    given = re.fullmatch(r"(\d+(?:\.\d+)?)([mhdw])", text)
    if given is None:
        raise ConfigError([Problem("--unused-for", text, "a time such as 12h, 30d or 8w")])
    return float(given[1]) * UNITS[given[2]]


def _waste(found: EnvironmentList, cache: Path, before: float) -> list[Waste]:
    waste = [
        *prune.unfinished(cache, found.entries),
        *prune.unused(found.entries, found.usage, before),
    ]
    if found.client is not None:
        waste += prune.in_engine(found.client, cache, waste, before)
    return waste


def _remove(waste: Sequence[Waste], cache: Path, client: Any) -> dict[Waste, str]:
    """Remove all; return what stays, and why."""
    done = {each: prune.remove(each, cache, client) for each in waste}
    return {each: problem for each, problem in done.items() if problem}


def _tell(waste: Sequence[Waste], left: dict[Waste, str], *, dry_run: bool) -> None:
    if not waste:
        say("Nothing to remove.")
        return
    rows = [
        (each.name, each.kind, size(each.size), f"left: {left[each]}" if each in left else each.why)
        for each in waste
    ]
    table(("NAME", "KIND", "SIZE", "WHY"), rows, Columns(wrap=True))
    gone = [each for each in waste if each not in left]
    total = f"up to {size(sum(each.size for each in gone))}"
    say(
        f"\nNothing was removed; {len(gone)} would be, {total}"
        if dry_run
        else f"\n{len(gone)} removed, {total}"
    )
