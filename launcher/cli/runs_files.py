"""`launcher runs files` and `runs download`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.cli.columns import Columns
from launcher.cli.damage import report
from launcher.cli.output import moment, say, say_json, size, table
from launcher.store.files import download, list_files
from launcher.store.find import find_run
from launcher.store.runs import read_run

if TYPE_CHECKING:
    import argparse

    from launcher.paths import StoreFolder
    from launcher.store.files import RunFile


def files_command(store: StoreFolder, options: argparse.Namespace) -> int:
    """Print the files that a run left."""
    folder = find_run(store, options.run)
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
            [(size(file.size), moment(file.modified), _shown(file)) for file in files],
            Columns(key=2),
        )
        count = f"{len(files)} {'file' if len(files) == 1 else 'files'}"
        say(f"\n{count}, {size(sum(file.size for file in files))} in {folder.root}")
    else:
        say(f"{folder.id} has no files{f' in {options.prefix}' if options.prefix else ''}")
    return report(read_run(folder), as_json=options.json)


def _shown(file: RunFile) -> str:
    return file.name if file.link is None else f"{file.name} -> {file.link}"


def download_command(store: StoreFolder, options: argparse.Namespace) -> int:
    """Copy files of a run."""
    folder = find_run(store, options.run)
    for file in list_files(folder, options.prefix):
        if file.link is not None:
            print(f"{_shown(file)}: leads out of the run, so it is not copied", file=sys.stderr)  # noqa: T201
    named = any(file.name == options.prefix for file in list_files(folder))
    output = options.output or Path() if named else options.output or Path(folder.id.replace("/", "-"))
    copies = download(folder, options.prefix, output, force=options.force)
    if options.json:
        say_json([{"path": str(copy)} for copy in copies])
    else:
        say(f"{len(copies)} file{'s' * (len(copies) != 1)} copied to {copies[0] if named else output}")
    return report(read_run(folder), as_json=options.json)
