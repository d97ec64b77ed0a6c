"""Brackets and escapes of a gitignore pattern as git's wildmatch.c reads them."""

from __future__ import annotations

import re

CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": r"\ \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": r"\x21-\x7e",
    "lower": "a-z",
    "print": r"\x20-\x7e",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\ \t\n\r\f\v",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}
"""POSIX classes in the C locale, as sets of a regex."""


def atom(glob: str, at: int) -> tuple[str | None, int]:
    """Return the regex of a bracket, an escape or a space, None for anything else, and what follows it.

    Raises:
        ValueError: the bracket or escape has no end.
    """
    char = glob[at]
    if char == "\\":
        if at + 1 == len(glob):
            raise ValueError(glob)
        return re.escape(glob[at + 1]), at + 2
    if char == "[":
        return _bracket(glob, at + 1)
    if char.isspace() or char in "!#":  # pathspec would strip it, or take it for a mark
        return re.escape(char), at + 1
    return None, at + 1


def _bracket(glob: str, at: int) -> tuple[str, int]:
    negated = glob[at : at + 1] in {"!", "^"}
    at += negated
    items: list[str] = []
    previous = ""
    first = True
    while first or glob[at : at + 1] != "]":
        first = False
        if at >= len(glob):
            raise ValueError(glob)
        if glob[at] == "-" and previous and glob[at + 1 : at + 2] not in {"", "]"}:
            end, at = _member(glob, at + 1)
            items.append(f"{re.escape(previous)}-{re.escape(end)}" if previous <= end else "")
            previous = ""
        elif glob.startswith("[:", at):
            name, at = _class_name(glob, at + 2)
            items.append(name)
            previous = ""
        else:
            previous, at = _member(glob, at)
            items.append(re.escape(previous))
    inside = "".join(items)
    # Neither form matches a slash, and an empty set matches nothing.
    positive = f"(?!/)[{inside}]" if inside else "(?!)"
    return (f"(?!/)[^{inside}]" if inside else "[^/]") if negated else positive, at + 1


def _member(glob: str, at: int) -> tuple[str, int]:
    """Return a character of a bracket, which may be escaped."""
    at += glob[at] == "\\"
    if at >= len(glob):
        raise ValueError(glob)
    return glob[at], at + 1


def _class_name(glob: str, at: int) -> tuple[str, int]:
    """Return the set of `[:name:]`; without its end, the bracket is a plain character."""
    end = glob.find("]", at)
    if end < 0:
        raise ValueError(glob)
    if glob[end - 1] != ":" or end - 1 < at:
        return re.escape("["), at - 1
    if glob[at : end - 1] not in CLASSES:
        raise ValueError(glob)
    return CLASSES[glob[at : end - 1]], end + 1
