"""From the mapping `args` to the elements of an argument vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from launcher.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator


POSITIONAL: Final = "_"
"""The key of `args` whose values stand on the command line without a flag."""


class NumberText(str):
    """A number as it was written, without quotes; a Hydra app reads it as a number."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def argv(args: Mapping[Any, Any], problems: list[Problem]) -> tuple[str, ...]:
    """Return the arguments in order, for `args_style=flags`; what cannot be one is added to `problems`.

    `key: value` is `--key value` (one letter: `-k value`); `""` and true give the flag alone, null and
    false nothing, a list several elements after one flag, a list of lists the flag once for each of them.
    """
    return tuple(_elements(args, problems, equals=False))


def equals_argv(args: Mapping[Any, Any], problems: list[Problem]) -> tuple[str, ...]:
    """Return the arguments in order, for `args_style=equals`: `--key=value`, the flag before every value."""
    return tuple(_elements(args, problems, equals=True))


def positional(value: Any, problems: list[Problem]) -> tuple[str, ...]:
    """Return the elements of `args._`, which have no flag."""
    nothing = value is None or value is False
    items = cast("list[Any]", value) if isinstance(value, list) else [] if nothing else [value]
    return tuple(_texts(f"args.{POSITIONAL}", items, problems))


def _elements(args: Mapping[Any, Any], problems: list[Problem], *, equals: bool) -> Iterator[str]:
    for key, value in args.items():
        name = str(key)
        if name == POSITIONAL:
            yield from positional(value, problems)
            continue
        if not name.strip():
            problems.append(Problem("args", {name: value}, "a name for every argument"))
        flag = f"-{name}" if len(name) == 1 else f"--{name}"
        for group in _groups(value):
            texts = list(_texts(f"args.{name}", group, problems))
            if not texts or not equals:
                yield from (flag, *texts)
            else:
                yield from (f"{flag}={text}" for text in texts)


def _groups(value: Any) -> list[list[Any]]:
    """Return the values of each occurrence of a flag."""
    if value is None or value is False:
        return []
    if value is True or value == "":
        return [[]]
    if not isinstance(value, list):
        return [[value]]
    items = cast("list[Any]", value)
    lists = [cast("list[Any]", item) for item in items if isinstance(item, list)]
    return lists if lists and len(lists) == len(items) else [items]


def _texts(key: str, items: list[Any], problems: list[Problem]) -> Iterator[str]:
    for item in items:
        if isinstance(item, bool):
            yield str(item).lower()
        elif isinstance(item, (str, int, float)):
            yield str(item)
        else:
            expected = "a text, a number, true, false, null or a list of these"
            problems.append(Problem(key, item, expected, _hint(key, item)))


def _hint(key: str, item: Any) -> str:
    if isinstance(item, Mapping):
        names = ", ".join(f"{key}-{name}" for name in list(cast("Mapping[Any, Any]", item))[:2])
        named = names and not key.endswith(f".{POSITIONAL}")
        return f"Arguments are flat; try names such as {names}" if named else "Arguments are flat"
    if isinstance(item, list):
        return "To repeat the flag let every item be a list, such as [[a],[b]]"
    return ""
