"""`launcher compute …`: what of a compute target works from here, and what crashes left on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher import commands
from launcher.capabilities import BAD
from launcher.cli.columns import Columns
from launcher.cli.output import Help, Parser, number, say, say_aside, say_json, table
from launcher.errors import ConfigError, Problem

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

VERBS = commands.VERBS["compute"]
TIMEOUT_S = 60.0


def main(argv: Sequence[str]) -> int:
    """Run one verb.

    Raises:
        LauncherError: what a user can mend.
    """
    whole, of = parsers()
    options, words = whole.parse_known_args(argv)
    if options.verb == "clean":
        if words:
            of["clean"].error(f"unrecognized arguments: {' '.join(words)}")
        from launcher.cli.compute_clean import clean_command  # noqa: PLC0415  # a check does not need it

        return clean_command(options)
    return _check(options, words, of["check"])


def _check(options: argparse.Namespace, words: Sequence[str], parser: Parser) -> int:
    given = [f"compute={options.compute}"] if options.compute else []
    if options.timeout == 0:  # which no job can keep
        raise ConfigError([Problem("--timeout", 0, "a number of seconds greater than 0")])
    strange = [word for word in words if word.startswith("-") and not word.startswith(("--config", "-c"))]
    if strange:
        parser.error(f"unrecognized arguments: {' '.join(strange)}")
    from launcher.config.load import load  # noqa: PLC0415  # imports Hydra

    request = load([*given, *options.words, *words])
    found = list(request.spec.compute.check_rows(request, options.timeout, say_aside))
    fine = all(row.level != BAD for row in found)
    if options.json:
        say_json({"compute": request.spec.compute.kind, "ok": fine, "rows": [row._asdict() for row in found]})
        return int(not fine)
    table(["what", "is", "found", "next"], [list(row) for row in found], Columns(texts=2, wrap=True))
    if not fine:
        say("\nWhat is bad has to be mended before runs will work.")
    return int(not fine)


def parsers() -> tuple[Parser, dict[str, Parser]]:
    """Return the parser of the noun, and those of its verbs."""
    whole = Parser(
        prog="launcher compute", description="Compute targets, looked at and cleaned.", formatter_class=Help
    )
    verbs = whole.add_subparsers(dest="verb", required=True, metavar="VERB", prog="launcher compute")
    of = {
        name: verbs.add_parser(name, help=text, description=text, formatter_class=Help, allow_abbrev=False)
        for name, text in VERBS.items()
    }
    of["check"].add_argument("--compute", metavar="NAME", help="the same as compute=NAME")
    of["check"].add_argument(
        "words", nargs="*", metavar="OVERRIDE", help="as of a launch: compute=slurm compute.partition=short"
    )
    of["clean"].add_argument("--dry-run", action="store_true", help="remove nothing, print what would be")
    of["clean"].add_argument(
        "--store", help="runs in this store that are over tell whose folders are left (else the usual one)"
    )
    for parser in of.values():
        parser.add_argument("--json", action="store_true", help="print JSON")
    of["check"].add_argument(
        "--timeout",
        type=number("--timeout", float),
        default=TIMEOUT_S,
        metavar="SECONDS",
        help="how long a job on the cluster may wait and run (default: %(default)g)",
    )
    return whole, of
