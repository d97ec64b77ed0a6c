"""`launcher runs download`."""

from __future__ import annotations

import sys
from pathlib import Path

from launcher.cli.damage import report
from launcher.cli.output import Options, Parser, say, say_json
from launcher.store.files import download, list_files
from launcher.store.find import find_run
from launcher.store.runs import read_run


def add_options(parser: Parser) -> None:
    """Add the options of this verb."""
    parser.add_argument("prefix", nargs="?", default="", help="a file or folder of the run (default: all)")
    parser.add_argument("-o", "--output", type=Path, help="folder to copy to (default: . or ./NAME-NUMBER)")
    parser.add_argument("--force", action="store_true", help="replace files that are there")


def run(options: Options) -> int:
    """Copy files of a run."""
    folder = find_run(options.store, options.run)
    for file in list_files(folder, options.prefix):
        if file.link is not None:
            print(f"{file.text}: leads out of the run, so it is not copied", file=sys.stderr)  # noqa: T201
    named = any(file.name == options.prefix for file in list_files(folder))
    output = options.output or Path() if named else options.output or Path(folder.id.replace("/", "-"))
    copies = download(folder, options.prefix, output, force=options.force)
    if options.json:
        say_json([{"path": str(copy)} for copy in copies])
    else:
        say(f"{len(copies)} file{'s' * (len(copies) != 1)} copied to {copies[0] if named else output}")
    return report(read_run(folder), as_json=options.json)
