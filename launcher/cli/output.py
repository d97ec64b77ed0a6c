"""What commands print: JSON, or tables that are rich on a terminal and plain columns elsewhere."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from typing import TYPE_CHECKING, Any, cast

from launcher.streams import encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

COLORS = {
    "Completed": "green",
    "Failed": "red",
    "Canceled": "yellow",
    "CancelRequested": "yellow",
    "Running": "cyan",
    "Finalizing": "cyan",
    "ok": "green",
    "warn": "yellow",
    "bad": "red",
}

MIB = 1 << 20


class Help(argparse.HelpFormatter):
    """Help as wide as the terminal; argparse's own way imports shutil, 5 ms for every command."""

    def __init__(self, prog: str) -> None:
        try:
            width = os.get_terminal_size().columns - 2
        except OSError:
            width = 100
        super().__init__(prog, width=max(width, 40))


def store_options() -> argparse.ArgumentParser:
    """Return the options that all verbs of the store's nouns have."""
    common = argparse.ArgumentParser(add_help=False, formatter_class=Help)
    common.add_argument(
        "--store", help="folder of the run store (else LAUNCHER_STORE, the project's, ./store)"
    )
    common.add_argument("--json", action="store_true", help="print JSON")
    return common


def say(text: str = "") -> None:
    """Print a line; a name that is not UTF-8 is printed as its bytes."""
    sys.stdout.buffer.write(encode(text) + b"\n")


def say_json(value: object) -> None:
    """Print a value as JSON that every reader takes: NaN and infinities are strings."""
    say(json.dumps(_strict(value), indent=None if isinstance(value, str) else 2, ensure_ascii=True))


def say_json_line(value: object) -> None:
    """Print a value as one line of JSON."""
    say(json.dumps(_strict(value), ensure_ascii=True))
    sys.stdout.flush()


def _strict(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in cast("dict[str, object]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in cast("Sequence[object]", value)]
    return value


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under a header."""
    body = [[_one_line(cell) for cell in row] for row in rows]
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        _rich_table(header, body)
        return
    widths = [max(len(row[column]) for row in [header, *body]) for column in range(len(header))]
    for row in [header, *body]:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _rich_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich import box  # noqa: PLC0415  # 80 ms that only a terminal needs
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column, name in enumerate(header):
        grid.add_column(name, no_wrap=column < len(header) - 1, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(printable(cell), style=COLORS.get(cell, "")) for cell in row))
    Console().print(grid)


def _one_line(text: str) -> str:
    return text.replace("\n", " ").replace("\r", " ").replace("\x1b", " ")


def printable(text: str) -> str:
    """Return text for a library that writes UTF-8 strictly."""
    return encode(text).decode("utf-8", "replace")


def moment(seconds: float | None) -> str:
    """Return local time to the minute, `2026-03-01 17:05`."""
    return "-" if not seconds else time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def size(count: float) -> str:
    """Return a number of bytes for people."""
    if count < 1 << 10:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1 << 10
        if count < 1 << 10:
            return f"{count:.1f} {unit}"
    return f"{count / (1 << 10):.1f} TiB"


def pairs(values: Mapping[str, Any]) -> str:
    """Return a mapping as `key=value` words."""
    return " ".join(
        f"{key}={value:.6g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in values.items()
    )
