"""What commands print: JSON, or tables that fit a terminal and are plain columns elsewhere."""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
import time
from typing import TYPE_CHECKING, Any, NoReturn, cast

from launcher.errors import ConfigError, Problem, nearest
from launcher.limits import FLAGS
from launcher.paths import StoreFolder
from launcher.project import find_store
from launcher.streams import encode
from launcher.tables import GAP, Columns, align, display_width, fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from launcher.errors import LauncherError

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

JSON = "--json"

Options = argparse.Namespace


class Help(argparse.HelpFormatter):
    """Help as wide as the terminal; argparse's own way imports shutil, 5 ms for every command."""

    def __init__(self, prog: str) -> None:
        try:
            width = os.get_terminal_size().columns - 2
        except OSError:
            width = 100
        super().__init__(prog, width=max(width, 40))


class Parser(argparse.ArgumentParser):
    """A parser that names the flag which an unknown one resembles, in JSON if the words ask for it."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  # it has overloads
        """See `ArgumentParser`."""
        self._json = JSON in (args or ())
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Print usage and message, and exit with code 2."""
        flag = re.search(r"unrecognized arguments:.*?(--?[A-Za-z][\w-]*)", message)
        hint = nearest(flag[1], sorted(self.flags())) if flag else ""
        text = f"{message}. {hint}" if hint else message
        if self._json:
            raise ConfigError([f"{self.prog}: {text}"])
        super().error(text)

    def takes_value(self, flag: str) -> bool:
        """Return whether a value follows a flag."""
        action = self._option_string_actions.get(flag)
        return action is not None and action.nargs != 0

    def flags(self) -> set[str]:
        """Return the flags of this parser."""
        return set(self._option_string_actions)


def number(flag: str, kind: type[int | float] = int) -> Callable[[str], float]:
    """Return what reads the number of a flag.

    What it returns raises ConfigError for everything but a number in the flag's range, which argparse lets
    through: its own errors know of no range.
    """
    limits = FLAGS[flag]

    def read(text: str) -> float:
        try:
            value = kind(text) if re.fullmatch(r"[-+.\w]+", text, re.ASCII) and "_" not in text else None
        except ValueError:
            value = None
        expected = limits.expected if value is None else limits.problem_of(value)
        if value is None or expected:
            raise ConfigError([Problem(flag, text if value is None else value, expected)])
        return value

    return read


def add_store(parser: Parser) -> None:
    """Add the options that all verbs of the store's nouns have."""
    parser.add_argument(
        "--store",
        type=open_store,
        default="",
        help="folder of the run store (else LAUNCHER_STORE, the project's, ./store)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_limit(parser: Parser, limit: int) -> None:
    """Add the options of a list of which the newest are printed."""
    parser.add_argument(
        "-n", "--limit", type=number("--limit"), default=limit, help="how many (default: %(default)s)"
    )
    parser.add_argument("-a", "--all", action="store_true", help="no limit")


def add_timeout(parser: Parser) -> None:
    """Add the option of a verb that waits."""
    parser.add_argument(
        "--timeout", type=number("--timeout", float), metavar="SECONDS", help="stop waiting, with exit code 1"
    )


def open_store(text: str) -> StoreFolder:
    """Return the store in a folder, by default the usual one."""
    return StoreFolder(find_store(text))


def say(text: str = "") -> None:
    """Print a line; a name that is not UTF-8 is printed as its bytes."""
    sys.stdout.buffer.write(encode(text) + b"\n")


def say_text(options: Options, text: str) -> None:
    """Print a line, unless JSON is asked for."""
    if not options.json:
        say(text)


def say_json(value: object) -> None:
    """Print a value as JSON that every reader takes: NaN and infinities are strings."""
    say(json.dumps(_strict(value), indent=None if isinstance(value, str) else 2, ensure_ascii=True))


def say_error(error: LauncherError) -> None:
    """Print an error on standard error as one line of JSON."""
    from launcher.credentials import hide  # noqa: PLC0415  # only for what went wrong

    problems: Sequence[Problem | str] = getattr(error, "problems", None) or [str(error)]
    record = {
        "message": str(error),
        "exit_code": error.exit_code,
        "problems": [
            {
                "message": str(problem),
                "key": None if isinstance(problem, str) else problem.key,
                "given": None if isinstance(problem, str) else problem.given,
                "expected": None if isinstance(problem, str) else problem.expected,
                "hint": (None if isinstance(problem, str) else problem.hint) or None,
            }
            for problem in problems
        ],
    }
    print(hide(json.dumps(_strict({"error": record}), default=str)), file=sys.stderr)  # noqa: T201


def say_note(text: str, *, as_json: bool = False) -> None:
    """Print something that is not the answer on standard error, as one line of JSON if that is asked for."""
    print(json.dumps({"note": text}) if as_json else text, file=sys.stderr, flush=True)  # noqa: T201


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


def table(header: Sequence[str], rows: Iterable[Sequence[str]], columns: Columns | None = None) -> None:
    """Print rows under a header; a terminal may be too narrow for all of them (`tables.fit`)."""
    body = [[_one_line(cell) for cell in row] for row in rows]
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        _terminal_table(header, body, columns)
        return
    for line in align([header, *body]):
        say(line)


def _terminal_table(header: Sequence[str], rows: list[list[str]], kinds: Columns | None) -> None:
    plain = [[printable(cell) for cell in row] for row in rows]
    layout = fit(header, plain, _width(), kinds or Columns())
    cells = [[[name] for name in layout.header], *layout.rows]
    for number, row in enumerate(cells):
        for at in range(max(map(len, row))):
            parts: list[str] = []
            for cell, width in zip(row, layout.widths, strict=True):
                text = cell[at] if at < len(cell) else ""
                blanks = " " * (width - display_width(text))
                parts.append(_style(text, "bold" if not number else COLORS.get(text, "")) + blanks)
            say((" " * GAP).join(parts).rstrip())
    if layout.left_out:
        say(f"\nNo room for {', '.join(layout.left_out)}: a wider terminal or --json shows all")


def _width() -> int:
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    return os.get_terminal_size(sys.stdout.fileno()).columns or 80  # 0 where a terminal does not know


CODES = {"bold": 1, "red": 31, "green": 32, "yellow": 33, "cyan": 36}


def _style(text: str, style: str) -> str:
    if not style or not text or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{CODES[style]}m{text}\x1b[0m"


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
