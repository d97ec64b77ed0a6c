"""What is wrong with overrides that choose from a group, and with those of Hydra's own keys."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from launcher.config.key_problems import error_text, unknown_key_problem, wrong_value
from launcher.config.omegaconf_nodes import find
from launcher.config.schema import GROUPS
from launcher.errors import Problem, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hydra.core.override_parser.types import Override

    from launcher.config.compose import Composer

PARAMS: Final = "hydra.sweeper.params"


def choice_problems(composer: Composer, choices: Sequence[Override]) -> Iterator[tuple[Problem, Override]]:
    """Yield the problem of every choice that no file can be the reason of."""
    for override in choices:
        problem = _choice_problem(composer, override)
        if problem is not None:
            yield problem, override


def _choice_problem(composer: Composer, override: Override) -> Problem | None:
    group, value, word = override.key_or_group, override.value(), str(override.input_line)
    names = composer.options(group) if group.partition("/")[0] != "schema" else []
    choices = f"one of {', '.join(names)}" if names else "a known key"
    sign = word[: len(word) - len(word.lstrip("+~"))]
    if override.package is not None:
        return Problem(f"{group}@{override.package}", value, "a group alone", f"Write {group}={value}")
    if sign == "~" and names:
        return None  # what is missing then is told of the key
    if sign == "++" or (sign and _is_default_group(composer, group)):
        return Problem(f"{sign}{group}", value, "no sign before the group", f"Write {word.lstrip('+')}")
    if value is None:
        return Problem(group, None, choices, "" if group in GROUPS else f"To leave it out write ~{group}")
    for name in value if isinstance(value, list) else [value]:
        if str(name).removesuffix(".yaml") not in names:
            return Problem(group, name, choices, _choice_hint(group, str(name), names))
    return None


def _choice_hint(group: str, name: str, names: Sequence[str]) -> str:
    """Return the hint for a choice that does not exist."""
    stem = PurePath(name).stem
    if stem in names:
        return f"Write {group}={stem}"
    return nearest(name, names) or ("" if name else f"Write {group}=NAME")


def _is_default_group(composer: Composer, group: str) -> bool:
    """Return whether the defaults have a group already; a project may bring groups of its own."""
    try:
        return group in composer.groups([]).choices
    except (HydraException, OmegaConfBaseException, ValueError, OSError):
        return group in GROUPS


def hydra_problems(
    composer: Composer, overrides: Sequence[Override]
) -> Iterator[tuple[Problem | str, Override]]:
    """Yield what is wrong with overrides of Hydra's own keys, each tried alone."""
    for override in overrides:
        key, given = override.key_or_group, str(override.input_line).partition("=")[2]
        if key.startswith(PARAMS):
            swept = key.removeprefix(PARAMS).lstrip(".") or "KEY"
            hint = f"Write -m {swept}={given if key != PARAMS else 'VALUE,VALUE'}"
            yield Problem(key, given, "the key itself with -m; this one is for files", hint), override
            continue
        try:
            composer.compose_whole([override])
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            problem = _hydra_problem(composer, key, given, error)
            if problem is not None:
                yield problem, override


def _hydra_problem(composer: Composer, key: str, given: str, error: Exception) -> Problem | str | None:
    if "/" in key:
        names = composer.whole_options(key)
        if not names:
            return Problem(key, given, "a known group", nearest(key, ["hydra/launcher", "hydra/sweeper"]))
        return (
            None
            if given in names
            else Problem(key, given, f"one of {', '.join(names)}", nearest(given, names))
        )
    try:
        base: Any = composer.compose_whole([]).config
    except (HydraException, OmegaConfBaseException, ValueError):
        return None  # the files are the reason
    return (
        unknown_key_problem(base, key, given)
        if find(base, key) is None
        else wrong_value(base, key, given) or error_text(error)
    )
