"""The project around the working directory, and where its store is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple, cast

from launcher.errors import ConfigError, Problem, nearest
from launcher.paths import expand_home

KEYS = ("conf", "store")
"""What `[tool.launcher]` may hold."""
LINE_END = b"\n"


class Project(NamedTuple):
    """What the nearest pyproject.toml with a `[tool.launcher]` says; all None outside any project."""

    root: Path | None = None
    store: Path | None = None
    conf: Path | None = None


def installed_conf() -> Path:
    """Return the folder of the groups that come with this package."""
    package = Path(__file__).resolve().parent
    beside = package / "conf"  # in the wheel
    return beside if beside.is_dir() else package.parent / "conf"


def find_project(start: Path | None = None) -> Project:
    """Return the project of a folder, by default of the working directory.

    As with other tools, a pyproject.toml without a `[tool.launcher]` table is not a project.

    Raises:
        ConfigError: the table cannot be read, or holds something unknown.
    """
    folder = Path(start or Path.cwd()).absolute()
    for root in (folder, *folder.parents):
        table = _table(root / "pyproject.toml")
        if table is not None:
            return Project(root, _path(root, table, "store"), _path(root, table, "conf"))
    return Project()


def find_store(given: str | os.PathLike[str] | None = None, start: Path | None = None) -> Path:
    """Return the store's folder: `given`, else LAUNCHER_STORE, else the project's, else ./store.

    Raises:
        ConfigError: see `find_project`.
    """
    folder = Path(start or Path.cwd()).absolute()
    chosen = given or os.environ.get("LAUNCHER_STORE")
    if chosen:
        return Path(os.path.normpath(folder / expand_home(chosen, "store" if given else "LAUNCHER_STORE")))
    return find_project(folder).store or folder / "store"


def _table(file: Path) -> dict[str, object] | None:
    try:
        text = file.read_bytes()
    except OSError:
        return None
    if b"launcher" not in text:  # spares the import of tomllib
        return None
    import tomllib  # noqa: PLC0415  # 5 ms that most calls do not need

    try:
        data = tomllib.loads(text.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        place, byte = f"{file}:{text[: error.start].count(LINE_END) + 1}", f"byte 0x{text[error.start]:02x}"
        raise ConfigError([Problem(place, byte, "text in UTF-8", "Save the file as UTF-8")]) from error
    except tomllib.TOMLDecodeError as error:
        hint = 'Texts stand in quotes: conf = "conf"'
        raise ConfigError([f"{file}: this is not TOML: {error}. {hint}"]) from error
    tool = data.get("tool")
    table = cast("dict[str, object]", tool).get("launcher") if isinstance(tool, dict) else None
    if table is None:
        return None
    if not isinstance(table, dict):
        raise ConfigError([Problem(f"{file}: tool.launcher", table, "a table", "Write [tool.launcher]")])
    known = cast("dict[str, object]", table)
    problems = [
        Problem(f"{file}: tool.launcher.{key}", value, f"one of {', '.join(KEYS)}", nearest(key, KEYS))
        for key, value in known.items()
        if key not in KEYS
    ]
    problems += [
        Problem(f"{file}: tool.launcher.{key}", known[key], "a path")
        for key in KEYS
        if key in known and not (isinstance(known[key], str) and known[key])
    ]
    if problems:
        raise ConfigError(problems)
    return known


def _path(root: Path, table: dict[str, object], key: str) -> Path | None:
    value = table.get(key)
    if not value:
        return None
    name = f"{root / 'pyproject.toml'}: tool.launcher.{key}"
    return Path(os.path.normpath(root / expand_home(str(value), name)))
