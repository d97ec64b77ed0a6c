"""`launcher runs …`: what has run, is running and shall no longer run."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from launcher import commands
from launcher.cli.output import Help, Parser, number, store_options
from launcher.paths import StoreFolder
from launcher.project import find_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

VERBS = commands.VERBS["runs"]
MODULES = {
    "list": "list",
    "show": "show",
    "logs": "watch",
    "files": "files",
    "download": "files",
    "wait": "watch",
    "cancel": "change",
    "rerun": "change",
    "delete": "change",
}
"""Where the function of each verb is, `launcher.cli.runs_*`."""

RUN_HELP = "NAME/NUMBER, NAME/latest or latest"
RUNS_HELP = f"{RUN_HELP}; the id of a sweep means all its runs"
LIMIT = 50


def main(argv: Sequence[str]) -> int:
    """Run one verb.

    Raises:
        LauncherError: what a user can mend.
    """
    options = parser().parse_args(argv)
    store = StoreFolder(find_store(options.store))
    # Each verb imports what it needs: a list is there in the time that the others take to start.
    verb: Callable[[StoreFolder, argparse.Namespace], int]
    verb = getattr(import_module(f"launcher.cli.runs_{MODULES[options.verb]}"), f"{options.verb}_command")
    return verb(store, options)


def parser() -> Parser:
    """Return the options of all verbs."""
    return parsers()[0]


def parsers() -> tuple[Parser, dict[str, Parser]]:
    """Return the parser of the noun, and those of its verbs."""
    common = store_options()
    whole = Parser(prog="launcher runs", description="Runs in the store.", formatter_class=Help)
    verbs = whole.add_subparsers(dest="verb", required=True, metavar="VERB", prog="launcher runs")
    of = {
        name: verbs.add_parser(name, help=text, description=text, parents=[common], formatter_class=Help)
        for name, text in VERBS.items()
    }
    of["list"].add_argument("filters", nargs="*", metavar="FILTER", help="see above")
    of["list"].add_argument(
        "-n", "--limit", type=number("--limit"), default=LIMIT, help="how many (default: %(default)s)"
    )
    of["list"].add_argument("-a", "--all", action="store_true", help="no limit")
    for name in ("show", "logs", "files", "download", "rerun"):
        of[name].add_argument("run", help=RUN_HELP)
    for name in ("wait", "cancel", "delete"):
        of[name].add_argument("runs", nargs="+", metavar="RUN", help=RUNS_HELP)
    of["show"].add_argument(
        "--config",
        action="store_true",
        help="the whole configuration, not only what differs from the defaults",
    )
    of["logs"].add_argument("-f", "--follow", action="store_true", help="go on until the run is over")
    of["logs"].add_argument("--rank", type=number("--rank"), help="of this process (default: 0)")
    of["logs"].add_argument("--process", help="of this process by name, such as ps-0 or mpirun-0")
    of["logs"].add_argument(
        "--attempt", type=number("--attempt"), help="of this attempt (default: the newest)"
    )
    of["files"].add_argument(
        "prefix", nargs="?", default="", help="only those in this folder, such as outputs/model"
    )
    of["download"].add_argument(
        "prefix", nargs="?", default="", help="a file or folder of the run (default: all)"
    )
    of["download"].add_argument(
        "-o", "--output", type=Path, help="folder to copy to (default: . or ./NAME-NUMBER)"
    )
    of["download"].add_argument("--force", action="store_true", help="replace files that are there")
    of["wait"].add_argument(
        "--timeout", type=number("--timeout", float), metavar="SECONDS", help="stop waiting, with exit code 1"
    )
    of["rerun"].add_argument(
        "--detach",
        action="store_true",
        help="do not wait for its end (nor with --json, which prints the new run)",
    )
    of["delete"].add_argument("--force", action="store_true", help="also runs that are not over")
    return whole, of
