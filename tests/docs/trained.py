"""The launches of tests/training."""

from __future__ import annotations

import ast
import re
import shlex
from functools import cache
from typing import Any, cast

import yaml

from .pages import REPOSITORY


def is_trained(line: str) -> bool:
    """Return whether tests/training has a launch with all words of a line."""
    words = [word for given in shlex.split(line)[3:] for word in _expand(given)]
    return any(
        all(any(re.fullmatch(has, word) for has in launch) for word in words) for launch in _launches()
    )


def _expand(word: str) -> list[str]:
    """Return what an experiment stands for; any other word as it is."""
    if not word.startswith("experiment="):
        return [word]
    file = REPOSITORY / "conf/experiment" / f"{word.partition('=')[2]}.yaml"
    content: dict[str, Any] = yaml.safe_load(file.read_text("utf-8"))
    choices: list[Any] = [item for item in content.pop("defaults") if item != "_self_"]
    words = [f"{key.removeprefix('override /')}={value}" for item in choices for key, value in item.items()]
    for key, value in content.items():
        nested = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
        words += [f"{key}.{name}={nested[name]}" for name in nested] or [f"{key}={value}"]
    return words


@cache
def _launches() -> list[list[str]]:
    """Return the words of each launch, as patterns."""
    found: list[list[str]] = []
    for file in (REPOSITORY / "tests/training").glob("test_*.py"):
        nodes = ast.walk(ast.parse(file.read_text("utf-8")))
        calls = [node for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
        target: list[str] = []  # the words that a file's `submit` adds, such as compute=docker
        for call in calls:
            if call.args and isinstance(call.args[0], ast.Starred):
                target += [_pattern(word) for word in call.args[1:]]
        for call in calls:
            name = ast.unparse(call.func)
            if name in {"launch", "submit"}:
                found.append([*map(_pattern, call.args), *(target if name == "submit" else ())])
    return found


def _pattern(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return re.escape(text)
        case ast.JoinedStr(values=parts):
            return "".join(
                r"\S+" if isinstance(part, ast.FormattedValue) else _pattern(part) for part in parts
            )
        case _:
            return "(?!)"
