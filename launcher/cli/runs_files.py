"""`launcher runs files`."""

from __future__ import annotations

from launcher.cli.damage import report
from launcher.cli.output import Options, Parser, moment, say, say_json, size, table
from launcher.store.files import list_files
from launcher.store.find import find_run
from launcher.store.runs import read_run
from launcher.tables import Columns


def add_options(parser: Parser) -> None:
    """Add the options of this verb."""
    parser.add_argument(
        "prefix", nargs="?", default="", help="only those in this folder, such as outputs/model"
    )


def run(options: Options) -> int:
    """Print the files that a run left."""
    folder = find_run(options.store, options.run)
    files = list_files(folder, options.prefix)
    if options.json:
        say_json(
            [
                {"name": file.name, "size": file.size, "modified": file.modified, "link": file.link}
                for file in files
            ]
        )
    elif files:
        table(
            ("SIZE", "CHANGED", "NAME"),
            [(size(file.size), moment(file.modified), file.text) for file in files],
            Columns(key=2),
        )
        count = f"{len(files)} {'file' if len(files) == 1 else 'files'}"
        say(f"\n{count}, {size(sum(file.size for file in files))} in {folder.root}")
    else:
        say(f"{folder.id} has no files{f' in {options.prefix}' if options.prefix else ''}")
    return report(read_run(folder), as_json=options.json)
