"""Why a composition failed, override by override and file by file, so that all problems show together."""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import fields
from typing import TYPE_CHECKING, Final

from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig
from omegaconf.errors import OmegaConfBaseException, ValidationError
from yaml import YAMLError

from launcher.config.compose import Composer, NeedsHydraError
from launcher.config.describe import unknown_key
from launcher.config.key_problems import error_text, expectation, keys, unknown_key_problem, wrong_value
from launcher.config.omegaconf_nodes import find, node_value
from launcher.config.schema import GROUPS, Launch
from launcher.errors import Problem
from launcher.spec import Resources

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hydra.core.override_parser.types import Override

ERRORS: Final = (
    HydraException,
    OmegaConfBaseException,
    YAMLError,
    ValueError,
    OSError,
    AssertionError,
    AttributeError,  # a mapping for `hydra.sweeper.params`, which is null
    OverflowError,  # a whole number that no float holds
    RecursionError,  # files that name one another in their defaults
)
"""What Hydra and OmegaConf raise for bad input."""

RELATED: Final = (
    {"source", "script", "command", "args"},
    {*GROUPS, *(field.name for field in fields(Resources))},
)
"""Keys at the top that are checked together: what one of them lacks may be said of another."""


def explain(composer: Composer, overrides: Sequence[Override], error: Exception) -> list[Problem | str]:
    """Return everything that is wrong with overrides whose composition raised `error`."""
    problems = _problems(composer, overrides)
    return [problem for problem, _ in problems] or [error_text(error)]


def valid_overrides(composer: Composer, overrides: Sequence[Override]) -> list[Override] | None:
    """Return the overrides that are right alone; None if a choice, a file or a key is wrong.

    What such an override was meant to change is not known, so nothing can be said about the rest.
    """
    problems = _problems(composer, overrides)
    wrong = [override for _, override in problems]
    if any(override is None or not is_value_key(override.key_or_group) for override in wrong):
        return None
    return [override for override in overrides if override not in wrong]


def is_value_key(key: str) -> bool:
    """Return whether a key exists and is no group."""
    name, dot, _ = key.lstrip("+~").partition(".")
    return name in Launch.__dataclass_fields__ and (bool(dot) or name not in GROUPS)


def independent_problems(problems: Iterable[Problem], wrong: Iterable[str]) -> list[Problem]:
    """Return the problems that no wrong key can be the reason of."""
    names = {key.lstrip("+~").partition(".")[0] for key in wrong}
    names.update(*(related for related in RELATED if names & related))
    return [problem for problem in problems if re.split(r"[.\[]", problem.key)[0] not in names]


def _problems(
    composer: Composer, overrides: Sequence[Override]
) -> list[tuple[Problem | str, Override | None]]:
    """Return the problems, each with the override it is of; None for a file."""
    from launcher.config.choice_problems import choice_problems, hydra_problems  # noqa: PLC0415  # seldom needed
    from launcher.config.conf_files import file_problems  # noqa: PLC0415

    ours = [override for override in overrides if not override.is_hydra_override()]
    found: list[tuple[Problem | str, Override | None]] = []
    found += hydra_problems(composer, [each for each in overrides if each.is_hydra_override()])
    choices = [override for override in ours if composer.is_choice(override)]
    wrong = list(choice_problems(composer, choices))
    if wrong:
        rejected = [override for _, override in wrong]
        choices = [override for override in choices if override not in rejected]
    found += wrong
    try:
        base = _base(composer, choices)
    except ERRORS as error:
        files = file_problems(composer, choices)
        # Without a choice that is wrong itself, a file may lack what that choice would bring.
        return [*found, *((problem, None) for problem in files or ([] if found else [error_text(error)]))]
    for override in ours:
        if not composer.is_choice(override):
            problem = _value_problem(composer, base, override)
            if problem is not None:
                found.append((problem, override))
    return found


def _base(composer: Composer, choices: Sequence[Override]) -> DictConfig:
    try:
        return composer.compose_groups(choices)[0].config
    except NeedsHydraError:
        return composer.compose_whole(choices).config


def _value_problem(composer: Composer, base: DictConfig, override: Override) -> Problem | str | None:
    try:
        composer.apply(deepcopy(base), [override])
    except NeedsHydraError:
        return None
    except ERRORS as error:
        return _value_message(composer, base, override, error)
    return None


def _value_message(
    composer: Composer, base: DictConfig, override: Override, error: Exception
) -> Problem | str:
    key, word = override.key_or_group, str(override.input_line)
    given = word.partition("=")[2]
    node = find(base, key)
    text: Problem | str = error_text(error)
    if override.package is not None:
        pass
    elif override.is_delete() and node is None:
        text = f"~{key}: there is no such key to delete. {unknown_key(key, keys(base))}".rstrip()
    elif override.is_delete():
        text = Problem(f"~{key}", node_value(node), "a key that was added", f"Set this one with {key}=…")
    elif node is None and composer.is_group(key):
        text = Problem(key, given, f"one of {', '.join(composer.options(key))}")
    elif isinstance(error, OverflowError) or isinstance(error.__cause__, ValidationError):
        text = wrong_value(base, key, given)
    elif node is None:
        text = unknown_key_problem(base, key, given, groups=composer.loader.list_groups(""))
    elif override.is_add():
        text = f"+{key}: this key is there already. Write {word[1:]}"
    elif isinstance(error.__cause__, (KeyError, AttributeError)) and isinstance(node, DictConfig):
        text = Problem(key, given, f"keys of {key}: {', '.join(map(str, node)) or 'it has none'}")
    elif isinstance(override.value(), list) or isinstance(node, ListConfig):
        text = Problem(key, given, expectation(node))
    return text
