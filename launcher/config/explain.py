"""Why a composition failed, told per override: each is tried alone, so that all problems show."""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from hydra.errors import HydraException
from omegaconf import BooleanNode, DictConfig, EnumNode, FloatNode, IntegerNode, ListConfig, StringNode
from omegaconf.errors import OmegaConfBaseException, ValidationError
from yaml import YAMLError

from launcher.config.compose import Composer, NeedsHydraError
from launcher.config.describe import unknown_key
from launcher.config.nodes import children, element_type, find, is_optional, split_key
from launcher.config.schema import schemas
from launcher.errors import Problem, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hydra.core.override_parser.types import Override

ERRORS: Final = (HydraException, OmegaConfBaseException, YAMLError, ValueError, OSError, AssertionError)
"""What Hydra and OmegaConf raise for bad input."""

NOISE: Final = (
    "full_key:",
    "object_type=",
    "reference_type=",
    "See https://",
    "provider=",
    "Config search path",
)


def explain(composer: Composer, overrides: Sequence[Override], error: Exception) -> list[Problem | str]:
    """Return everything that is wrong with overrides whose composition raised `error`."""
    overrides = [override for override in overrides if not override.is_hydra_override()]
    choices = [override for override in overrides if composer.is_choice(override)]
    problems: list[Problem | str] = []
    sound: list[Override] = []
    for override in choices:
        problem = _choice_problem(composer, override)
        if problem is None:
            sound.append(override)
        else:
            problems.append(problem)
    try:
        base = _base(composer, sound)
    except ERRORS as together:
        return problems or [told(together)]
    for override in overrides:
        if override not in choices:
            problem = _value_problem(composer, base, override)
            if problem is not None:
                problems.append(problem)
    return problems or [told(error)]


def sound(composer: Composer, overrides: Sequence[Override]) -> list[Override]:
    """Return the overrides that are right alone; none where a choice is wrong, which all others hang on."""
    choices = [override for override in overrides if composer.is_choice(override)]
    if any(_choice_problem(composer, override) for override in choices):
        return []
    try:
        base = _base(composer, choices)
    except ERRORS:
        return []
    return [
        override
        for override in overrides
        if override in choices or _value_problem(composer, base, override) is None
    ]


def _base(composer: Composer, choices: Sequence[Override]) -> DictConfig:
    try:
        return composer.compose_groups(choices)[0].config
    except NeedsHydraError:
        return composer.compose_whole(choices).config


def told(error: BaseException) -> str:
    """Return an error of Hydra's without the lines that help nobody."""
    lines: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        for line in str(cause).splitlines():
            text = line.strip()
            if text and text not in lines and not text.startswith(NOISE):
                lines.append(text)
        cause = cause.__cause__
    return "\n  ".join(lines) or type(error).__name__


def _choice_problem(composer: Composer, override: Override) -> Problem | str | None:
    try:
        composer.compose_groups([override])
    except NeedsHydraError:
        return None
    except ERRORS as error:
        group, value = override.key_or_group, override.value()
        options = composer.options(group)
        if value is None and not override.is_delete():
            hint = f"To leave the group out write ~{group}"
            return Problem(group, None, f"one of {', '.join(options)}", hint)
        if options and override.package is None and value not in options and not override.is_delete():
            hint = nearest(str(value), options)
            return Problem(group, value, f"one of {', '.join(options)}", hint)
        return _package_told(told(error))
    return None


def _package_told(text: str) -> str:
    """Return a text of Hydra's with what it means where a file forgot its package."""
    found = re.search(r"In '([^']+)': Could not override '[^']+@", text)
    if found is None:
        return text
    return f"{found[1]}.yaml: its defaults are for all keys; begin it with the line `# @package _global_`"


def _value_problem(composer: Composer, base: DictConfig, override: Override) -> Problem | str | None:
    try:
        composer.apply(deepcopy(base), [override])
    except NeedsHydraError:
        return None
    except ERRORS as error:
        return _value_told(composer, base, override, error)
    return None


def _value_told(composer: Composer, base: DictConfig, override: Override, error: Exception) -> Problem | str:
    key, word = override.key_or_group, str(override.input_line)
    given = word.partition("=")[2]
    node = find(base, key)
    text: Problem | str = told(error)
    if isinstance(error.__cause__, ValidationError):
        text = Problem(key, given, expected(node) if node is not None else _element(base, key))
    elif override.package is not None:
        pass
    elif override.is_delete() and node is None:
        text = f"~{key}: there is no such key to delete. {unknown_key(key, keys(base))}".rstrip()
    elif node is None:
        text = stranger(base, key, given, groups=composer.loader.list_groups(""))
    elif override.is_add():
        text = f"+{key}: this key is there already. Write {word[1:]}"
    elif isinstance(error.__cause__, (KeyError, AttributeError)) and isinstance(node, DictConfig):
        text = Problem(key, given, f"keys of {key}: {', '.join(map(str, node)) or 'it has none'}")
    return text


def _element(config: DictConfig, key: str) -> str:
    """Return what a mapping takes under a new key, in words."""
    parent = find(config, key.rpartition(".")[0])
    words: dict[Any, str] = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
    return words.get(element_type(parent), "another value")


def stranger(config: DictConfig, key: str, value: Any, groups: Sequence[str] = ()) -> Problem:
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
    hint = unknown_key(key, siblings) or _elsewhere(parts) or unknown_key(key, [*keys(config), *groups])
    place = ".".join(path)
    expected_text = f"a key of {place}: {', '.join(names) or 'it has none'}" if place else "a known key"
    return Problem(key, value, expected_text, hint)


def _elsewhere(parts: Sequence[str]) -> str:
    """Return the hint for a key that another choice of its group has."""
    for group, choice, option in schemas():
        if group == parts[0] and len(parts) > 1 and parts[1] in {field.name for field in fields(option)}:
            return f"With {group}={choice} it is one"
    return ""


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


def expected(node: Any) -> str:
    """Return what a node takes, in words."""
    kinds = (
        (IntegerNode, "a whole number"),
        (FloatNode, "a number"),
        (BooleanNode, "true or false"),
        (StringNode, "a text"),
        (ListConfig, "a list such as [a,b]"),
        (DictConfig, "a mapping such as {a: b}"),
    )
    if isinstance(node, EnumNode):
        text = f"one of {', '.join(member.name for member in node.enum_type)}"
    else:
        text = next((words for kind, words in kinds if isinstance(node, kind)), "another value")
    return f"{text}, or null" if is_optional(node) else text
