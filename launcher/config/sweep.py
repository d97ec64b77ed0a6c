"""From the overrides of a multirun to its members."""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING

from omegaconf import OmegaConf

from launcher.config.compose import Composed, Composer, NeedsHydraError
from launcher.config.nodes import copied, split_key
from launcher.config.overrides import sweep_texts
from launcher.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hydra.core.override_parser.types import Override


def expand(overrides: Sequence[Override], composer: Composer) -> list[list[Override]]:
    """Return the overrides of every member, in the order of Hydra's basic sweeper.

    The first sweep varies slowest. A key that is given twice keeps its first place and its last value.

    Raises:
        ConfigError: for every sweep that cannot be counted out, or is empty.
    """
    axes: dict[str, list[Override]] = {}
    problems: list[Problem] = []
    for override in overrides:
        key = override.get_key_element()
        if not override.is_sweep_override():
            axes[key] = [override]
        elif not override.is_discrete_sweep():
            problems.append(
                Problem(
                    key,
                    override.get_value_string(),
                    "values that can be counted: a,b,c or range(1,4) or choice(a,b)",
                    "interval() needs a sweeper that searches, such as hydra/sweeper=optuna",
                )
            )
        else:
            axes[key] = [_value(composer, key, text) for text in sweep_texts(override)]
            if not axes[key]:
                problems.append(Problem(key, override.get_value_string(), "at least one value"))
    if problems:
        raise ConfigError(problems)
    return [list(member) for member in product(*axes.values())]


def _value(composer: Composer, key: str, text: str) -> Override:
    """Return the override of one value, `12:30` without the backslashes that Hydra prints."""
    override = composer.parser.parse_one(f"{key}={text}")
    plain = re.sub(r"\\([:=])", r"\1", f"{key}={text}")
    if "\\" in text and composer.parser.readable(plain):
        typed = composer.parser.parse_one(plain)
        return typed if typed.value() == override.value() else override
    return override


class Members:
    """Composes the members of a sweep: one base for each set of choices, with the values put in."""

    def __init__(self, composer: Composer) -> None:
        self._composer = composer
        self._bases: dict[tuple[str, ...], Composed | None] = {}

    def compose(self, overrides: Sequence[Override], number: int) -> Composed:
        """Return the configuration of the member of that number, equal to what Hydra composes.

        It holds until the next one is composed.

        Raises:
            HydraException: what Hydra has against it.
        """
        chosen = [override for override in overrides if self._composer.is_choice(override)]
        key = tuple(str(override.input_line) for override in chosen)
        if key not in self._bases:
            self._bases[key] = self._base(chosen)
        base = self._bases[key]
        if base is None:
            return self._composer.compose_whole(overrides, number)
        values = [override for override in overrides if not self._composer.is_choice(override)]
        if any(override.is_hydra_override() for override in values):
            return self._composer.compose_whole(overrides, number)
        try:
            keys = {split_key(override.key_or_group)[0] for override in values}
            return Composed(self._composer.apply(copied(base.config, keys), values), base.choices)
        except NeedsHydraError:
            return self._composer.compose_whole(overrides, number)

    def _base(self, chosen: Sequence[Override]) -> Composed | None:
        try:
            return self._composer.groups(chosen)
        except NeedsHydraError:
            return None


def share_cache(first: Composed, member: Composed) -> None:
    """Let a member resolve `${now:…}` and its like to what the first member got, as Hydra does."""
    OmegaConf.copy_cache(from_config=first.config, to_config=member.config)
