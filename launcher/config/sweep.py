"""From the overrides of a multirun to its members."""

from __future__ import annotations

import re
import sys
from itertools import product
from math import ceil, isfinite, prod
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import ChoiceSweep, RangeSweep
from omegaconf import OmegaConf

from launcher.config.compose import Composer, Composition, NeedsHydraError
from launcher.config.omegaconf_nodes import copy_config, split_key
from launcher.config.overrides import sweep_texts
from launcher.errors import ConfigError, Problem
from launcher.limits import MEMBERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hydra.core.override_parser.types import Override


def expand(overrides: Sequence[Override], composer: Composer) -> list[list[Override]]:
    """Return the overrides of every member, in the order of Hydra's basic sweeper.

    The first sweep varies slowest. A key that is given twice keeps its first place and its last value.

    Raises:
        ConfigError: for every sweep that cannot be counted out, or is empty, and for too many members.
    """
    axes: dict[str, list[Override]] = {}
    problems = list(_count_problems(overrides))
    for override in () if problems else overrides:
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


def _count_problems(overrides: Sequence[Override]) -> Iterator[Problem]:
    """Return why the members would be too many, without one of them."""
    axes: dict[str, int] = {}
    for override in overrides:
        key = override.get_key_element()
        axes[key] = _count(override)
        if axes[key] < 0:
            yield Problem(key, override.get_value_string(), "a range that ends, with a step other than 0")
    total = prod(axes.values())
    if total > MEMBERS:
        most = f"at most {MEMBERS:,} members (the members of a sweep)"
        counts = [f"{key} has {count:,} values" for key, count in axes.items() if count > 1]
        yield Problem("-m", total, most, f"Split the sweep: {', '.join(counts)}")


def _count(override: Override) -> int:
    """Return how many values an override stands for; -1 where that is no number."""
    value: Any = override.value()
    if isinstance(value, ChoiceSweep):
        return len(value.list)
    if not isinstance(value, RangeSweep):
        return 1  # of a glob there are as many as the files it finds
    start, stop, step = value.start or 0, value.stop or 0, value.step
    if not step or not all(map(isfinite, (start, stop, step))):
        return -1
    steps = (stop - start) / step if isinstance(step, float) else (stop - start) // step
    if not isfinite(steps):
        return sys.maxsize
    return max(0, ceil(steps))


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
        self._bases: dict[tuple[str, ...], Composition | None] = {}

    def compose(self, overrides: Sequence[Override], number: int) -> Composition:
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
            return Composition(self._composer.apply(copy_config(base.config, keys), values), base.choices)
        except NeedsHydraError:
            return self._composer.compose_whole(overrides, number)

    def _base(self, chosen: Sequence[Override]) -> Composition | None:
        try:
            return self._composer.groups(chosen)
        except NeedsHydraError:
            return None


def share_cache(first: Composition, member: Composition) -> None:
    """Let a member resolve `${now:…}` and its like to what the first member got, as Hydra does."""
    OmegaConf.copy_cache(from_config=first.config, to_config=member.config)
