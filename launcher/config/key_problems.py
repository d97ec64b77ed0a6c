"""Texts about keys and values that a configuration does not take."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final, cast

from omegaconf import (
    BooleanNode,
    DictConfig,
    EnumNode,
    FloatNode,
    IntegerNode,
    ListConfig,
    OmegaConf,
    StringNode,
)

from launcher.config.describe import unknown_key
from launcher.config.omegaconf_nodes import children, element_type, find, is_optional, split_key
from launcher.config.schema import schemas
from launcher.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

NOISE: Final = (
    "full_key:",
    "object_type=",
    "reference_type=",
    "See https://",
    "provider=",
    "Config search path",
)
KINDS: Final = (
    (IntegerNode, "a whole number, such as 2"),
    (FloatNode, "a number, such as 0.5"),
    (BooleanNode, "true or false"),
    (StringNode, "a text"),
    (ListConfig, "a list such as [a,b]"),
    (DictConfig, "a mapping such as {a: b}"),
)
ELEMENTS: Final[dict[Any, str]] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}
WITH_UNIT: Final = re.compile(r"\d+(\.\d+)?\s*[A-Za-z]+")


def error_text(error: BaseException) -> str:
    """Return an error of Hydra's without the lines that help nobody."""
    lines: list[str] = []
    causes: list[BaseException] = []
    cause: BaseException | None = error
    # Under a debugger OmegaConf makes an error its own cause.
    while cause is not None and cause not in causes:
        causes.append(cause)
        for line in str(cause).splitlines():
            text = line.strip()
            if text and text not in lines and not text.startswith(NOISE):
                lines.append(text)
        cause = cause.__cause__
    return "\n  ".join(lines) or type(error).__name__


def keys(config: DictConfig, prefix: str = "") -> list[str]:
    """Return every key of a configuration, as overrides name them."""
    found: list[str] = []
    for name, node in children(config):
        key = f"{prefix}{name}"
        if key == "example" and isinstance(node, DictConfig):
            found += keys(node)  # what it brings is given under the keys at the top
            continue
        found.append(key)
        if isinstance(node, DictConfig):
            found += keys(node, f"{key}.")
    return found


def expectation(node: Any) -> str:
    """Return what a node takes, in words."""
    if isinstance(node, EnumNode):
        text = f"one of {', '.join(member.name for member in node.enum_type)}"
    else:
        text = next((words for kind, words in KINDS if isinstance(node, kind)), "another value")
    return f"{text}, or null" if is_optional(node) else text


def wrong_value(config: DictConfig, key: str, value: Any) -> Problem:
    """Return the problem of a value that its key does not take."""
    node = find(config, key)
    if node is None:
        return _wrong_entry(config, key, value)
    hint = ""
    if isinstance(node, (IntegerNode, FloatNode)) and WITH_UNIT.fullmatch(str(value)):
        hint = "Give the number alone"
    return Problem(key, value, expectation(node), hint)


def _wrong_entry(config: DictConfig, key: str, value: Any) -> Problem:
    """Return the problem of a value under a new key of a mapping, or below a value that is no mapping."""
    parts = split_key(key)
    for count in range(len(parts) - 1, 0, -1):
        above = ".".join(parts[:count])
        parent = find(config, above)
        if isinstance(parent, DictConfig) and element_type(parent) in ELEMENTS and count < len(parts) - 1:
            name = "-".join(parts[count:])
            words = f"{ELEMENTS[element_type(parent)]} under one name, without keys below it"
            return Problem(key, value, words, f"Write {above}.{name}=…")
        if isinstance(parent, DictConfig):
            return Problem(key, value, ELEMENTS.get(element_type(parent), "a mapping such as {uri: PATH}"))
    return Problem(key, value, "another value")


def unknown_key_problem(config: DictConfig, key: str, value: Any, groups: Sequence[str] = ()) -> Problem:
    """Return the problem of a key that does not exist, with the one that was probably meant."""
    parts = split_key(key)
    parent: Any = config
    path: list[str] = []
    for part in parts[:-1]:
        child = find(config, ".".join([*path, part]))
        if not isinstance(child, (DictConfig, ListConfig)):
            break
        parent = child
        path.append(part)
    names = [str(name) for name in parent] if isinstance(parent, DictConfig) else []
    siblings = [".".join([*path, name]) for name in names]
    hint = (
        unknown_key(key, siblings) or _other_choice_hint(parts) or unknown_key(key, [*keys(config), *groups])
    )
    place = ".".join(path)
    expected_text = f"a key of {place}: {', '.join(names) or 'it has none'}" if place else "a known key"
    if isinstance(value, Mapping):
        inner = cast("Mapping[Any, Any]", value)
        if inner and all(str(name) in names for name in inner):
            hint = f"Write its keys without `{parts[-1]}:` above them"
    elif not hint and len(parts) == 1:  # most often it is meant for the script
        hint = f"An argument of the script is args.{key}"
    return Problem(key, value, expected_text, hint)


def _other_choice_hint(parts: Sequence[str]) -> str:
    """Return the hint for a key that another choice of its group has."""
    for group, choice, option in schemas():
        names = {field.name for field in fields(option)}
        if group == parts[0] and len(parts) > 1 and parts[1] in names:
            return f"With {group}={choice} it is one"
        if group and len(parts) == 1 and parts[0] in names:
            return f"With {group}={choice} it is {group}.{parts[0]}"
    return ""


def nested_texts(config: DictConfig) -> list[Problem]:
    """Return the lists and mappings that stand where a text must: OmegaConf lets them in."""
    problems: list[Problem] = []

    def visit(node: DictConfig | ListConfig, prefix: str) -> None:
        for name, below in children(node):
            key = f"{prefix}{name}" if isinstance(node, DictConfig) else f"{prefix[:-1]}[{name}]"
            if key in {"hydra", "args", "example"}:
                continue
            value: Any = node[name] if element_type(node) is str else None
            if isinstance(value, (DictConfig, ListConfig)):
                given = OmegaConf.to_container(value)
                problems.append(Problem(key, given, "a text"))
            elif isinstance(below, (DictConfig, ListConfig)):
                visit(below, f"{key}.")

    visit(config, "")
    return problems
