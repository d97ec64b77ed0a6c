"""`launcher compute clean`: removes what killed supervisors and builds left on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.cli.damage import report_store
from launcher.cli.output import Options, Parser, open_store, say, say_json, table
from launcher.compute.cleanup import left_folders, remove_folder
from launcher.engine.client import connect
from launcher.errors import EngineError
from launcher.tables import Columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.paths import StoreFolder

Row = dict[str, str]
"""`what` it is, its `name`, and whose `run` it was as far as that is known."""


def add_options(parser: Parser) -> None:
    """Add the options of this verb."""
    parser.add_argument("--dry-run", action="store_true", help="remove nothing, print what would be")
    parser.add_argument(
        "--store",
        type=open_store,
        default="",
        help="runs in this store that are over tell whose folders are left (else the usual one)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: Options) -> int:
    """Remove, or with `--dry-run` only tell.

    Raises:
        EngineError: no engine could be cleaned; the folders are all the same.
    """
    problem: EngineError | None = None
    try:
        rows = _engine(dry_run=options.dry_run)
    except EngineError as error:
        rows, problem = [], error
    rows += _folders(options.store, dry_run=options.dry_run)  # after the containers, to which they were lent
    report_store(options.store, as_json=options.json)
    if options.json:
        told = None if problem is None else str(problem)
        say_json({"dry_run": options.dry_run, "removed": rows, "problem": told})
    elif rows or problem is None:
        _tell(rows, dry_run=options.dry_run)
    if problem is not None:
        raise EngineError(f"containers and networks were not looked at: {problem}") from problem
    return 0


def _engine(*, dry_run: bool) -> list[Row]:
    client = connect(timeout_s=30)
    from launcher.engine import made  # noqa: PLC0415  # imports the SDK, which has just been seen to be there

    try:
        act = made.made if dry_run else made.sweep
        found = act(client, made.abandoned)
    finally:
        client.close()
    return [{"what": each.kind, "name": each.name, "run": each.run} for each in found]


def _folders(store: StoreFolder, *, dry_run: bool) -> list[Row]:
    found = left_folders(store)
    gone = found if dry_run else [folder for folder in found if remove_folder(folder)]
    return [{"what": "folder", "name": str(folder), "run": ""} for folder in gone]


def _tell(rows: Sequence[Row], *, dry_run: bool) -> None:
    if not rows:
        say("Nothing was left.")
        return
    table(
        ("WHAT", "NAME", "RUN"),
        [(row["what"], row["name"], row["run"] or "-") for row in rows],
        Columns(key=1, texts=1, wrap=True),
    )
    say(f"\nNothing was removed; {len(rows)} would be" if dry_run else f"\n{len(rows)} removed")
