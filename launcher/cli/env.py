"""`launcher env …`: environments that runs use, whether folders of packages or images."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from launcher import commands
from launcher.cli.output import Help, Parser, store_options
from launcher.paths import StoreFolder
from launcher.project import find_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

VERBS = commands.VERBS["env"]
MODULES = {"list": "list", "show": "show", "prune": "prune"}
"""Where the function of each verb is, `launcher.cli.env_*`."""

KEY_HELP = "its key, or the beginning of that"
UNUSED_FOR = "30d"


def main(argv: Sequence[str]) -> int:
    """Run one verb.

    Raises:
        LauncherError: what a user can mend.
    """
    if argv[:1] == ["build"] and not {"-h", "--help"} & set(argv):
        from launcher.cli.env_build import build_command  # noqa: PLC0415  # imports Hydra

        return build_command(argv[1:])  # whose flags are those of a launch
    options = parsers()[0].parse_args(argv)
    store = StoreFolder(find_store(options.store))
    verb: Callable[[StoreFolder, argparse.Namespace], int]
    verb = getattr(import_module(f"launcher.cli.env_{MODULES[options.verb]}"), f"{options.verb}_command")
    return verb(store, options)


def parsers() -> tuple[Parser, dict[str, Parser]]:
    """Return the parser of the noun, and those of its verbs."""
    common = store_options()
    whole = Parser(prog="launcher env", description="Environments of this machine.", formatter_class=Help)
    verbs = whole.add_subparsers(dest="verb", required=True, metavar="VERB", prog="launcher env")
    of: dict[str, Parser] = {}
    for name, text in VERBS.items():
        of[name] = verbs.add_parser(
            name, help=text, description=text, parents=[common], formatter_class=Help, allow_abbrev=False
        )
    of["show"].add_argument("key", metavar="KEY", help=KEY_HELP)
    of["build"].add_argument(
        "words",
        nargs="*",
        metavar="OVERRIDE",
        help="as of a launch: framework=pytorch; -m for those of a sweep",
    )
    of["prune"].add_argument(
        "--unused-for",
        default=UNUSED_FOR,
        metavar="TIME",
        help="such as 12h, 30d, 8w (default: %(default)s)",
    )
    of["prune"].add_argument("--all", action="store_true", help="however recently they were used")
    of["prune"].add_argument("--dry-run", action="store_true", help="remove nothing, print what would be")
    return whole, of
