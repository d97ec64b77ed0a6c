"""`launcher runs rerun`."""

from __future__ import annotations

from launcher.cli.output import Options, Parser, say_json
from launcher.paths import LATEST
from launcher.store.find import find_run
from launcher.store.index import summarize
from launcher.store.runs import read_run


def add_options(parser: Parser) -> None:
    """Add the options of this verb."""
    parser.add_argument(
        "--detach",
        action="store_true",
        help="do not wait for its end (nor with --json, which prints the new run)",
    )


def run(options: Options) -> int:
    """Run what a run has frozen again."""
    folder = find_run(options.store, options.run)
    from launcher.rerun import rerun  # noqa: PLC0415  # 100 ms that no other verb needs

    code = rerun(folder, wait=not (options.detach or options.json))
    if options.json:
        say_json(summarize(read_run(find_run(options.store, f"{folder.root.parent.name}/{LATEST}"))))
    return code
