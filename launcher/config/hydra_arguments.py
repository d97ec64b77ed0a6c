"""From the mapping `args` to overrides of a script that is a Hydra app: `args_style=hydra`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from launcher.config.arguments import POSITIONAL, NumberText, positional
from launcher.config.overrides import quote
from launcher.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY: Final = re.compile(r"(\+{0,2}|~)[A-Za-z_][\w./@:-]*", re.ASCII)
NAME: Final = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)
PLAIN: Final = re.compile(r"[A-Za-z_][\w./-]*", re.ASCII)
"""Texts that need no quotes, unless they are one of these words in any case."""
WORDS: Final = ("null", "true", "false", "nan", "inf")

RUN_DIR: Final = "hydra.run.dir"
OUTPUTS: Final = f"{RUN_DIR}=outputs"
"""What Hydra writes goes where everything of a run goes."""


def words(args: Mapping[Any, Any], problems: list[Problem]) -> tuple[str, ...]:
    """Return overrides in order; what cannot be one is added to `problems`.

    Nested mappings are dotted keys; the elements of `_` stand as they are.
    Hydra's own files go to the run's outputs unless `args` tells another
    place; `hydra.run.dir: null` leaves it to the app.
    """
    given = dict(_leaves(args, ""))
    leave = given.get(RUN_DIR, "") is None
    elements = [] if RUN_DIR in given else [OUTPUTS]
    for key, value in given.items():
        if key == POSITIONAL:
            elements += positional(value, problems)
            continue
        if leave and key == RUN_DIR:
            continue
        if not KEY.fullmatch(key):
            problems.append(
                Problem(f"args.{key}", value, "a key of Hydra's: letters, digits and . / @ : _ -")
            )
        elif key.startswith("~") and value is None:
            elements.append(key)
        else:
            elements.append(f"{key}={_text(f'args.{key}', value, problems)}")
    return tuple(elements)


def _leaves(args: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in args.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(cast("Mapping[Any, Any]", value), f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _text(key: str, value: Any, problems: list[Problem]) -> str:
    """Return a value as Hydra's grammar reads it back."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (int, float, NumberText)):
        return str(value)
    if isinstance(value, str):
        plain = PLAIN.fullmatch(value) and value.lower() not in WORDS
        return value if plain else quote(value)
    if isinstance(value, list):
        items = cast("list[Any]", value)
        return f"[{','.join(_text(key, item, problems) for item in items)}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(_pairs(key, cast('Mapping[Any, Any]', value), problems))}}}"
    problems.append(
        Problem(key, value, "a text, a number, true, false, null, or lists and mappings of these")
    )
    return ""


def _pairs(key: str, mapping: Mapping[Any, Any], problems: list[Problem]) -> Iterator[str]:
    for name, value in mapping.items():
        if not (isinstance(name, str) and NAME.fullmatch(name)):
            problems.append(Problem(key, name, "mappings with names for keys, where they are in a list"))
        yield f"{name}:{_text(key, value, problems)}"
