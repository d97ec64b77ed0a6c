"""`launcher env show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from launcher.cli.env_entries import as_json, brief, find, say_left_out
from launcher.cli.output import Options, moment, pairs, say, say_json, size
from launcher.errors import NotFoundError
from launcher.paths import cache_root
from launcher.tables import label_lines
from launcher.view import duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from launcher.cli.env_entries import EnvironmentList
    from launcher.environment.cache.inventory import Entry

LABEL = 13
"""Width of the first column."""
RUNS = 5
"""How many are named."""


def run(options: Options) -> int:
    """Print all about one environment.

    Raises:
        NotFoundError: there is none, or more than one.
    """
    with find(options.store, cache_root()) as found:
        meant = [entry for entry in found.entries if options.key and entry.key.startswith(options.key)]
    if len(meant) != 1:
        _refuse(options.key, meant, found)
    say_left_out(found, as_json=options.json)
    [entry] = meant
    if options.json:
        runs = list(found.usage.of(entry.names))
        more = {"packages": list(entry.packages), "env": dict(entry.env), "build_s": entry.build_s}
        say_json({**as_json(entry, found), **more, "run_ids": runs})
        return 0
    for line in label_lines(_lines(entry, found), LABEL):
        say(line)
    return 0


def _refuse(key: str, meant: Sequence[Entry], found: EnvironmentList) -> NoReturn:
    if meant:
        keys = ", ".join(entry.name for entry in meant)
        raise NotFoundError(f"{key}: {len(meant)} environments begin so: {keys}")
    images = f"\nImages are left out: {found.left_out}" if found.left_out else ""
    raise NotFoundError(
        f"{key}: there is no such environment in {cache_root()}; "
        f"`python -m launcher env list` shows all{images}"
    )


def _lines(entry: Entry, found: EnvironmentList) -> Iterator[tuple[str, str]]:
    yield "key", entry.key
    yield "kind", entry.kind
    yield "for", "\n".join(entry.wants) or brief(entry)
    if entry.kind == "image":
        yield "image", "\n".join([entry.place, *entry.more, *entry.ids])
    elif entry.place:
        yield "prefix", entry.place
    if entry.python:
        version = next(Path(entry.place or "/nonesuch").glob("lib/python3*"), None)
        told = f", {version.name.removeprefix('python')}" if version and entry.kind != "image" else ""
        yield "python", f"{entry.python}{told}"
    if entry.env:
        yield "variables", pairs(entry.env)
    shared = ", with the layers that others share" if entry.kind == "image" else ""
    yield "size", f"{size(entry.size)}{shared}"
    if entry.archive is not None:
        yield "archive", f"{entry.archive}, {size(entry.archive.stat().st_size)}"
    took = f", built in {duration(entry.build_s)}" if entry.build_s is not None else ""
    yield "created", f"{moment(entry.created)}{took}"
    yield "used", moment(entry.used)
    yield "runs", _runs(entry, found)
    if entry.log is not None:
        yield "log", str(entry.log)
    if entry.packages:
        yield "packages", "\n".join(entry.packages)


def _runs(entry: Entry, found: EnvironmentList) -> str:
    runs = found.usage.of(entry.names)
    more = f", and {len(runs) - RUNS} more" if len(runs) > RUNS else ""
    opened = sum(run in found.usage.open for run in runs)
    still = f"; {opened} not over" if opened else ""
    return f"{', '.join(runs[:RUNS]) or 'none'}{more}{still}"
