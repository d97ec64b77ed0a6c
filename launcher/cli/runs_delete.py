"""`launcher runs delete`."""

from __future__ import annotations

from launcher.cli.output import Options, Parser, say_json, say_text
from launcher.errors import DeleteError, LauncherError
from launcher.store.find import find_runs
from launcher.store.runs import delete


def add_options(parser: Parser) -> None:
    """Add the options of this verb."""
    parser.add_argument("--force", action="store_true", help="also runs that are not over")


def run(options: Options) -> int:
    """Remove runs.

    Raises:
        DeleteError: with those that cannot be removed; the others are.
    """
    deleted: list[str] = []
    problems: list[str] = []
    codes: list[int] = []
    for folder in [
        folder for text in options.runs for folder in find_runs(options.store, text, replaced=True)
    ]:
        try:
            delete(folder, force=options.force)
            deleted.append(folder.id)
            say_text(options, f"{folder.id}  deleted")
        except LauncherError as error:
            problems.append(str(error))
            codes.append(error.exit_code)
    if options.json:
        say_json([{"id": name, "state": "Deleted"} for name in deleted])
    if problems:
        raise DeleteError(problems, 1 if deleted else min(codes))
    return 0
