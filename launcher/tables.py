"""Tables and labels as lines of text. On a terminal ids stay whole, texts are cut, wrapped or left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

GAP = 2
"""Blanks between columns."""

LEAST = 12
"""Width of a column of text, if its cells are wider."""


class Layout(NamedTuple):
    """A table that fits."""

    header: list[str]
    rows: list[list[list[str]]]
    """Each cell as the lines that it takes."""
    widths: list[int]
    left_out: list[str]
    """Columns that found no room."""


class Columns(NamedTuple):
    """What a table's columns hold."""

    key: int = 0
    """The column of the id, which is always whole."""
    texts: int = 1
    """How many of the last columns hold texts, which may be narrowed."""
    wrap: bool = False
    """Whether a text that is too long takes several lines; else it is cut."""


def fit(header: Sequence[str], rows: Sequence[Sequence[str]], width: int, kinds: Columns) -> Layout:
    """Fit a table into `width` columns of a terminal.

    Texts are narrowed. Columns that are still too wide are left out: first those without any content, then
    from the right. The id is never cut, even if it is wider than the terminal.
    """
    columns = list(range(len(header)))
    widths = [max(map(display_width, (name, *cells))) for name, *cells in zip(header, *rows, strict=True)]
    for column in reversed(range(len(header))):
        if _total(widths, columns) > width and column != kinds.key and not any(row[column] for row in rows):
            columns.remove(column)
    flexible = [column for column in columns if column >= len(header) - kinds.texts and column != kinds.key]
    least = [min(each, max(LEAST, display_width(header[column]))) for column, each in enumerate(widths)]
    while (
        len(columns) > 1
        and _total([least[at] if at in flexible else widths[at] for at in range(len(widths))], columns)
        > width
    ):
        last = max(column for column in columns if column != kinds.key)
        columns.remove(last)
        flexible = [column for column in flexible if column != last]
    while flexible and _total(widths, columns) > width:
        widest = max((each for each in flexible if widths[each] > least[each]), key=lambda each: widths[each])
        widths[widest] -= 1
    return Layout(
        [header[column] for column in columns],
        [[_cell(row[column], widths[column], wrap=kinds.wrap) for column in columns] for row in rows],
        [widths[column] for column in columns],
        [
            name
            for column, name in enumerate(header)
            if column not in columns and any(row[column] for row in rows)
        ],
    )


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    blanks = " " * GAP
    return [blanks.join(map(str.ljust, row, widths)).rstrip() for row in rows]


def label_lines(rows: Iterable[tuple[str, str]], width: int) -> Iterator[str]:
    """Yield texts behind their labels; further lines of a text are indented."""
    for label, text in rows:
        for number, line in enumerate(text.split("\n")):
            yield f"{'' if number else label:{width}}{line}"


def display_width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    import unicodedata  # noqa: PLC0415  # most tables are ASCII

    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


def _total(widths: Sequence[int], columns: Sequence[int]) -> int:
    return sum(widths[column] for column in columns) + GAP * (len(columns) - 1)


def _cell(text: str, width: int, *, wrap: bool) -> list[str]:
    if display_width(text) <= width:
        return [text]
    return list(_wrap(text, width)) if wrap else [_shorten(text, width)]


def _shorten(text: str, width: int) -> str:
    """Return the words that fit, then `…`; of a first word that is too long its beginning."""
    words = text[: _fit_count(text, width - 2) + 1].rsplit(" ", 1)[0].rstrip()
    if words and display_width(words) <= width - 2:
        return f"{words} …"
    return f"{text[: _fit_count(text, width - 1)]}…"


def _wrap(text: str, width: int) -> Iterator[str]:
    line = ""
    for word in text.split(" "):
        if display_width(f"{line} {word}".lstrip()) <= width:
            line = f"{line} {word}".lstrip()
            continue
        if line:
            yield line
        rest = word
        while display_width(rest) > width:  # such as a path
            size = max(1, _fit_count(rest, width))
            yield rest[:size]
            rest = rest[size:]
        line = rest
    if line:
        yield line


def _fit_count(text: str, width: int) -> int:
    """Return how many characters of a text fit."""
    taken = 0
    for at, char in enumerate(text):
        taken += display_width(char)
        if taken > width:
            return at
    return len(text)
