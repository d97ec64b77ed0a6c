"""`launcher sweeps …`: the runs of one multirun, together."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from launcher import commands
from launcher.cli.output import Help, Parser, number, store_options
from launcher.paths import StoreFolder
from launcher.project import find_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

VERBS = commands.VERBS["sweeps"]
MODULES = {"list": "show", "show": "show", "wait": "change", "cancel": "change", "resume": "change"}
"""Where the function of each verb is, `launcher.cli.sweeps_*`."""

SWEEP_HELP = "its id, the beginning of that, or latest"
LIMIT = 20


def main(argv: Sequence[str]) -> int:
    """Run one verb.

    Raises:
        LauncherError: what a user can mend.
    """
    whole, of = parsers()
    options, rest = whole.parse_known_args(argv)
    if options.verb == "resume":
        options.words += rest  # those of a launch, with its flags
    elif rest:
        of[options.verb].error(f"unrecognized arguments: {' '.join(rest)}")
    store = StoreFolder(find_store(options.store))
    verb: Callable[[StoreFolder, argparse.Namespace], int]
    verb = getattr(import_module(f"launcher.cli.sweeps_{MODULES[options.verb]}"), f"{options.verb}_command")
    return verb(store, options)


def parsers() -> tuple[Parser, dict[str, Parser]]:
    """Return the parser of the noun, and those of its verbs."""
    common = store_options()
    whole = Parser(prog="launcher sweeps", description="Sweeps in the store.", formatter_class=Help)
    verbs = whole.add_subparsers(dest="verb", required=True, metavar="VERB", prog="launcher sweeps")
    of = {
        name: verbs.add_parser(
            name,
            help=text,
            description=text,
            parents=[common],
            formatter_class=Help,
            allow_abbrev=False,
        )
        for name, text in VERBS.items()
    }
    of["list"].add_argument(
        "-n", "--limit", type=number("--limit"), default=LIMIT, help="how many (default: %(default)s)"
    )
    of["list"].add_argument("-a", "--all", action="store_true", help="no limit")
    for name in ("show", "wait", "cancel", "resume"):
        of[name].add_argument("sweep", metavar="ID", help=SWEEP_HELP)
    of["wait"].add_argument(
        "--timeout", type=number("--timeout", float), metavar="SECONDS", help="stop waiting, with exit code 1"
    )
    of["cancel"].add_argument(
        "members",
        nargs="*",
        type=number("NUMBER"),
        metavar="NUMBER",
        help="of a member in the sweep, as `show` has it",
    )
    of["resume"].add_argument(
        "words", nargs="*", metavar="WORD", help="of a launch: refuse if it would not be what is frozen"
    )
    of["resume"].add_argument(
        "--detach",
        action="store_true",
        help="do not wait for the end (nor with --json, which prints the sweep)",
    )
    return whole, of
