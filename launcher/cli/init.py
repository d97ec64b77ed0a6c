"""`launcher init DIR`: a small project that runs at once."""

from __future__ import annotations

import re
import shlex
import sys
from contextlib import suppress
from pathlib import Path

from launcher.cli.output import Options, Parser, say, say_json
from launcher.errors import StoreError

TEMPLATES = Path(__file__).with_name("template")
"""The files of a new project; `@NAME@` in them is its name."""

FILES = {
    "pyproject.toml": "pyproject.toml.txt",
    "src/.launcherignore": "launcherignore.txt",
    "conf/config.yaml": "config.yaml.txt",
    "conf/experiment/quick.yaml": "quick.yaml.txt",
    "conf/experiment/slow.yaml": "slow.yaml.txt",
    "src/train.py": "train.py.txt",
    "tests/test_train.py": "test_train.py.txt",
}
"""Path in the project to the template's name, which has an end that no tool takes for code."""


def add_options(parser: Parser) -> None:
    """Add the options of this command."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="made if it is not there")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: Options) -> int:
    """Write a project.

    Raises:
        StoreError: a file is in the way, or the folder cannot be written.
    """
    root: Path = options.folder
    taken = [str(root / name) for name in FILES if (root / name).exists()]
    if taken:
        raise StoreError(f"{', '.join(taken)}: already there, and nothing was written. Choose another folder")
    name = _name(root)
    _write(root, name)
    launch = f"{shlex.quote(Path(sys.executable).name)} -m launcher experiment=quick"
    steps = [f"cd {shlex.quote(str(root))}", launch, "python -m launcher runs show latest"]
    if options.json:
        say_json({"folder": str(root), "files": list(FILES), "next": steps})
        return 0
    say(f"A new project in {root}:")
    for path in FILES:
        say(f"  {path}")
    say("\nnext:")
    for step in steps:
        say(f"  {step}")
    return 0


def _write(root: Path, name: str) -> None:
    """Write the files, or none.

    Raises:
        StoreError: one cannot be written.
    """
    made: list[Path] = []
    try:
        for path, template in FILES.items():
            target = root / path
            new = [folder for folder in (target.parent, *target.parent.parents) if not folder.exists()]
            for folder in reversed(new):
                folder.mkdir()
                made.append(folder)
            with target.open("x", encoding="utf-8") as file:
                made.append(target)
                file.write((TEMPLATES / template).read_text("utf-8").replace("@NAME@", name))
    except OSError as error:
        for path in reversed(made):
            with suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()
        where = error.filename or made[-1]  # a full disk names none
        raise StoreError(f"{where}: cannot be written: {error.strerror}") from error


def _name(root: Path) -> str:
    """Return a name for the experiment, from that of the folder."""
    name = re.sub(r"[^a-z0-9-]+", "-", root.absolute().name.lower()).strip("-")
    return name or "project"
