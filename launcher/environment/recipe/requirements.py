"""Requirement files, read as pip reads them; a relative path counts from the folder of its file.

The files become two lists of lines with absolute paths, so that a tool can read the lines in any folder.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ARCHIVES: Final = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tar")
"""How the names of packages in one file end."""

_OPTION = r"(?:(-[rcefi])\s*=?\s*|(--[a-z-]+)(?:\s*=\s*|\s+))(.+)"
_LONG = {
    "-r": "--requirement",
    "-c": "--constraint",
    "-e": "--editable",
    "-f": "--find-links",
    "-i": "--index-url",
}
_INDEXES = ("--find-links", "--index-url", "--extra-index-url")
_NAMED = r"([A-Za-z0-9][A-Za-z0-9._-]*\s*(?:\[[^\]]*\])?\s*@)\s*(.+)"
_NAME = r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:[\[(<>=!~;@]|--|$)"
_TAIL = r"\s+;|;\s|\s+--"
"""Where the marker or the options of a requirement begin."""
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*:"
_PLAIN = r"[\w./+~-]+"


@dataclass(frozen=True, slots=True)
class LocalPackage:
    """A requirement that is a folder or an archive on this machine."""

    name: str
    """`name @ `, or nothing."""
    path: Path
    tail: str
    """Extras, fragment, marker and options."""

    def line(self, path: Path | None = None) -> str:
        """Return the requirement with its absolute path, or with another path in its place."""
        path = path or self.path
        plain = not self.name and re.fullmatch(_PLAIN, str(path))
        return f"{self.name}{path if plain else path.as_uri()}{self.tail}"


@dataclass(frozen=True, slots=True)
class Missing:
    """A file or package that does not exist."""

    file: Path
    """The requirement file that names it."""
    number: int
    """Of the line."""
    given: str
    expected: str


@dataclass(slots=True)
class Requirements:
    """What requirement files ask for."""

    lines: list[str] = field(default_factory=list[str])
    constraints: list[str] = field(default_factory=list[str])
    files: list[Path] = field(default_factory=list[Path])
    """The files that were read, included ones too."""
    folders: list[Path] = field(default_factory=list[Path])
    """Folders and files that serve as indexes."""
    missing: list[Missing] = field(default_factory=list[Missing])

    def packages(self) -> Iterator[Path]:
        """Yield the folders and archives among the requirements."""
        return packages([*self.lines, *self.constraints])


def packages(lines: Iterable[str]) -> Iterator[Path]:
    """Yield the folders and archives among requirements with absolute paths."""
    for line in lines:
        found = local_package(line, Path("/"))
        if found is not None:
            yield found.path


def absolute(line: str, base: Path) -> str:
    """Return a requirement with its path, if it is one, counted from a folder."""
    found = local_package(line, base)
    return line if found is None else found.line()


def local_package(line: str, base: Path) -> LocalPackage | None:
    """Return the folder or archive that a requirement is, None for a name or an address."""
    if line.startswith("-"):
        return None
    cut = re.search(_TAIL, line)
    text, tail = (line[: cut.start()], f" {line[cut.start() :].lstrip()}") if cut else (line, "")
    named = re.fullmatch(_NAMED, text.strip())
    name, text = (f"{named[1]} ", named[2]) if named else ("", text.strip())
    text, mark, fragment = text.partition("#")
    extras = re.search(r"\[[^\[\]]*\]$", text)
    if extras is not None:
        text = text[: extras.start()]
    tail = (extras.group() if extras else "") + mark + fragment + tail
    if text.startswith("file:"):
        text = unquote(re.sub(r"file:(//(localhost(?=/))?)?", "", text, count=1))
    elif re.match(_SCHEME, text) or not (
        named or "/" in text or text.startswith(".") or text.endswith(ARCHIVES)
    ):
        return None
    return LocalPackage(name, _located(text, base), tail)


def name_of(line: str) -> str:
    """Return the name that a requirement begins with, or nothing for an option, a path or an address."""
    match = re.match(_NAME, line)
    return match[1] if match else ""


def is_package(path: Path) -> bool:
    """Tell whether a folder or file can be installed."""
    if path.is_dir():
        return any((path / name).is_file() for name in ("pyproject.toml", "setup.py"))
    return path.name.endswith(ARCHIVES) and path.is_file()


def read(paths: Iterable[Path], root: Path = Path("/")) -> Requirements:
    """Read requirement files and the files that they include.

    Args:
        paths: of the files.
        root: a folder that stands for `/`: copies of the files lie below it, each under its own path.
    """
    found = Requirements()
    queue = [(Path("/", path.absolute().relative_to(root)), False) for path in paths]
    for origin, constrains in queue:  # grows while it is walked
        path = root / origin.relative_to("/")
        try:
            if path.exists() and not path.is_file():  # a FIFO, which may never end
                continue
            text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
        except OSError:
            continue
        if path not in found.files:
            found.files.append(path)
        lines = found.constraints if constrains else found.lines
        for number, line in _logical(text):
            other = _take(line, origin, number, found, lines)
            if other is None:
                continue
            option, included = other
            entry = included, constrains or option == "--constraint"
            if not (root / included.relative_to("/")).is_file():
                found.missing.append(Missing(origin, number, line, f"a file that exists, not {included}"))
            elif entry not in queue:
                queue.append(entry)
    return found


def _take(
    line: str, origin: Path, number: int, found: Requirements, lines: list[str]
) -> tuple[str, Path] | None:
    """Add a line; return the option and the path of one that includes another file."""
    option, value = _option(line)
    if option in {"--requirement", "--constraint"} and not re.match(_SCHEME, value):
        return option, _located(value, origin.parent)
    if option in _INDEXES:
        path = _located(re.sub(r"^file:(//(localhost(?=/))?)?", "", value), origin.parent)
        if re.match(_SCHEME, value) and not value.startswith("file:"):
            lines.append(line)
        elif path.exists():
            found.folders.append(path)
            lines.append(f"{option} {path if re.fullmatch(_PLAIN, str(path)) else path.as_uri()}")
        else:
            expected = f"an address, or a folder that exists, not {path}"
            found.missing.append(Missing(origin, number, line, expected))
        return None
    if option == "--editable":  # what is kept for later runs is a copy
        line = value
    elif option:
        lines.append(line)
        return None
    package = local_package(line, origin.parent)
    if package is not None and not is_package(package.path):
        expected = f"an archive, or a folder with pyproject.toml or setup.py, not {package.path}"
        found.missing.append(Missing(origin, number, line, expected))
    lines.append(line if package is None else package.line())
    return None


def _option(line: str) -> tuple[str, str]:
    """Return the long name and the value of an option, or nothing for a requirement."""
    if not line.startswith("-"):
        return "", ""
    match = re.fullmatch(_OPTION, line)
    if match is None:
        return line, ""
    value = match[3].strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    return _LONG.get(match[1] or "", match[2] or ""), value


def _located(text: str, base: Path) -> Path:
    text = re.sub(r"\$\{([A-Z0-9_]+)\}", lambda name: os.environ.get(name[1], name[0]), text)
    path = Path(text).expanduser() if text.startswith("~/") else Path(text)
    return Path(os.path.normpath(base / path))


def _logical(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines without comments, joined where they end in a backslash, each with its number."""
    begin, parts = 0, list[str]()
    for number, line in enumerate((*text.splitlines(), ""), 1):
        begin = begin or number
        comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not comment:
            parts.append(line[:-1])
            continue
        whole = re.sub(r"(^|\s+)#.*", "", "".join([*parts, "" if comment else line])).strip()
        if whole:
            yield begin, whole
        begin, parts = 0, []
