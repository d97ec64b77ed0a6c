"""From the mapping `args` to the elements of an argument vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from launcher.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence


def argv(args: Mapping[Any, Any], problems: list[Problem]) -> tuple[str, ...]:
    """Return the arguments in order; what cannot be one is added to `problems`.

    `key: value` is `--key value` (one letter: `-k value`); `""` and true give the flag alone, null and
    false nothing, a list several elements after one flag.
    """
    elements: list[str] = []
    for key, value in args.items():
        name = str(key)
        flag = f"-{name}" if len(name) == 1 else f"--{name}"
        if value is None or value is False:
            continue
        if value is True or value == "":
            elements.append(flag)
        else:
            elements += [flag, *_values(f"args.{name}", value, problems)]
    return tuple(elements)


def _values(key: str, value: Any, problems: list[Problem]) -> Sequence[str]:
    items = cast("list[Any]", value) if isinstance(value, list) else [value]
    texts: list[str] = []
    for item in items:
        if isinstance(item, bool):
            texts.append(str(item).lower())
        elif isinstance(item, (str, int, float)):
            texts.append(str(item))
        else:
            problems.append(
                Problem(key, item, "a text, a number, true, false, null or a list of these", _hint(key, item))
            )
    return texts


def _hint(key: str, item: Any) -> str:
    if isinstance(item, Mapping):
        names = ", ".join(f"{key}-{name}" for name in list(cast("Mapping[Any, Any]", item))[:2])
        return f"Arguments are flat; try names such as {names}" if names else "Arguments are flat"
    return ""
