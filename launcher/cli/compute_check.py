"""`launcher compute check`: what of a compute target works from here."""

from __future__ import annotations

from launcher.capabilities import BAD
from launcher.cli.output import Options, Parser, number, say, say_json, say_note, table
from launcher.errors import ConfigError, Problem
from launcher.tables import Columns

TIMEOUT_S = 60.0


def add_options(parser: Parser) -> None:
    """Add the options of this verb."""
    parser.set_defaults(error=parser.error)
    parser.add_argument("--compute", metavar="NAME", help="the same as compute=NAME")
    parser.add_argument(
        "words", nargs="*", metavar="OVERRIDE", help="as of a launch: compute=slurm compute.partition=short"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--timeout",
        type=number("--timeout", float),
        default=TIMEOUT_S,
        metavar="SECONDS",
        help="how long a job on the cluster may wait and run (default: %(default)g)",
    )


def run(options: Options) -> int:
    """Print what works, and what to do about the rest.

    Raises:
        LauncherError: what a user can mend.
    """
    given = [f"compute={options.compute}"] if options.compute else []
    if options.timeout == 0:  # which no job can keep
        raise ConfigError([Problem("--timeout", 0, "a number of seconds greater than 0")])
    strange = [
        word for word in options.words if word.startswith("-") and not word.startswith(("--config", "-c"))
    ]
    if strange:
        options.error(f"unrecognized arguments: {' '.join(strange)}")
    from launcher.config.load import load  # noqa: PLC0415  # imports Hydra

    request = load([*given, *options.words])
    found = list(request.spec.compute.check_rows(request, options.timeout, say_note))
    fine = all(row.level != BAD for row in found)
    if options.json:
        say_json({"compute": request.spec.compute.kind, "ok": fine, "rows": [row._asdict() for row in found]})
        return int(not fine)
    table(["what", "is", "found", "next"], [list(row) for row in found], Columns(texts=2, wrap=True))
    if not fine:
        say("\nWhat is bad has to be mended before runs will work.")
    return int(not fine)
