"""What of a source tree is not part of it: ignore files, read as git reads them.

Patterns are translated by pathspec; precedence is here, because git decides entry by entry on the way
down: the deepest file wins over those above, the last line of a file over those before, and nothing
below an ignored folder is looked at again.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from warnings import catch_warnings

FALLBACK = ".gitignore"
OWN = ".launcherignore"
"""In the source's root it replaces every .gitignore of the source."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of an ignore file."""

    regex: re.Pattern[str]
    """Of a whole path relative to the file's folder and a slash, each byte one character as for git."""
    negated: bool
    folders_only: bool


class Chain:
    """The ignore files that decide about the entries of one folder, outermost first."""

    def __init__(self, parent: Chain | None, base: str, text: bytes) -> None:
        """Add a file's text; `base` is its folder as a prefix (`sub/`) of what it decides about.

        A negative prefix, for files above the source, is written `/sub/`: it is what their
        patterns see before the path.
        """
        self.parent = parent
        self._base = base
        self._text = text
        self._rules: list[Rule] | None = None
        above = parent.key if parent is not None else ""
        self.key = hashlib.blake2b(
            b"\0".join((above.encode(), os.fsencode(base), text)), digest_size=16
        ).hexdigest()
        """Equal keys decide equally."""

    def ignores(self, path: str, *, folder: bool) -> bool:
        """Tell whether an entry, by its path within the source, is ignored."""
        chain: Chain | None = self
        while chain is not None:
            verdict = chain.verdict(path, folder=folder)
            if verdict is not None:
                return verdict
            chain = chain.parent
        return False

    def verdict(self, path: str, *, folder: bool) -> bool | None:
        """Return what this file alone says, None for nothing."""
        if self._rules is None:
            self._rules = parse(self._text)[::-1]
        seen = self._base[1:] + path if self._base.startswith("/") else path[len(self._base) :]
        raw = os.fsencode(seen).decode("latin-1") + "/"
        for rule in self._rules:
            if (folder or not rule.folders_only) and rule.regex.fullmatch(raw):
                return not rule.negated
        return None


def first_chain(source: Path) -> tuple[str, Chain | None]:
    """Return the name of the ignore files of a source, and those above it that count."""
    if (source / OWN).is_file():
        return OWN, None
    chain: Chain | None = None
    for folder in _up_to_repository(source):
        text = read_rules(str(folder / FALLBACK))
        if text:
            chain = Chain(chain, f"/{source.relative_to(folder)}/", text)
    return FALLBACK, chain


def _up_to_repository(source: Path) -> list[Path]:
    """Return the folders above a source up to the root of its git repository, outermost first."""
    between: list[Path] = []
    for folder in (source, *source.parents):
        if folder != source:
            between.append(folder)
        if (folder / ".git").exists():
            return between[::-1]
    return []


def read_rules(path: str) -> bytes:
    """Return the text of an ignore file; one that cannot be read says nothing."""
    try:
        with Path(path).open("rb") as file:
            return file.read()
    except OSError:
        return b""


def parse(text: bytes) -> list[Rule]:
    """Return the rules of an ignore file."""
    lines = text.removeprefix(b"\xef\xbb\xbf").decode("latin-1").split("\n")
    rules = (parse_line(line) for line in lines)
    return [rule for rule in rules if rule is not None]


def parse_line(line: str) -> Rule | None:
    """Return the rule of a line, or None for comments, what git discards, and POSIX classes."""
    line = _trim(line.removesuffix("\r"))
    if not line or line.startswith("#") or "[:" in line:
        return None
    negated = line.startswith("!")
    line = line.removeprefix("!")
    folders_only = line.endswith("/")
    line = line.removesuffix("/")
    try:
        regex = _translate(line)
    except (ValueError, re.error):  # no end of a bracket, nothing after a backslash: nothing matches
        return None
    return None if regex is None else Rule(regex, negated, folders_only)


def _trim(line: str) -> str:
    """Cut spaces at the end, except one after a backslash."""
    bare = line.rstrip(" ")
    slashes = len(bare) - len(bare.rstrip("\\"))
    return f"{bare} " if slashes % 2 and bare != line else bare


def _translate(glob: str) -> re.Pattern[str] | None:
    """Return the regex of a whole path and a slash, None if nothing can match.

    The slash protects spaces at the end of a pattern, which pathspec would strip.
    """
    import pathspec  # noqa: PLC0415  # 10 ms that an unchanged source does not need

    plain = re.sub(r"(?:(?<=/)|^)\*\*+(?:/\*\*+)*(?=/|$)", "**", glob)
    if not plain or plain.startswith("\\/"):  # a slash that no relative path begins with
        return None
    if plain in {"*", "**", "/**", "**/*"}:  # pathspec abbreviates what matches every path
        return re.compile("(?s:.+)")
    if plain.endswith("/**"):  # what is in the folder, not the folder
        plain += "/*"
    if plain[0] in "!#":  # the mark of the line was in front of it
        plain = f"\\{plain}"
    with catch_warnings(action="ignore"):  # of re, about brackets in brackets
        patterns = pathspec.GitIgnoreSpec.from_lines([f"{plain}/"]).patterns
        regex = cast("re.Pattern[str] | None", cast("Any", next(iter(patterns))).regex)
        if regex is None:
            return None
        whole = re.sub(r"\[\^(?!/\])", "(?!/)[^", regex.pattern)  # [!a] matches no slash
        return re.compile(whole, re.DOTALL)
