"""How far the `${…}` of a configuration may grow.

Ten lines, each with ten times the name of the line before, are 10^10 values.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import omegaconf.base
from omegaconf import Container
from omegaconf.errors import InterpolationResolutionError

from launcher.config.omegaconf_nodes import children
from launcher.limits import INTERPOLATIONS, TEXT, VALUES

if TYPE_CHECKING:
    from collections.abc import Generator

WORDS = f"at most {INTERPOLATIONS:,} times ${{…}}, {VALUES:,} values and {TEXT:,} characters through them"


class Growth:
    """What the interpolations of one configuration have grown to so far."""

    def __init__(self) -> None:
        self.interpolations = 0
        self.characters = 0
        self.values = 0

    @property
    def is_over(self) -> bool:
        """Whether they are too large."""
        return self.interpolations > INTERPOLATIONS or self.characters > TEXT or self.values > VALUES

    def begin(self) -> None:
        """Count an interpolation.

        Raises:
            InterpolationResolutionError: it is one too many.
        """
        self.interpolations += 1
        self._check()

    def add(self, value: Any) -> None:
        """Count what a text with interpolations has led to.

        Raises:
            InterpolationResolutionError: it is too much by now.
        """
        below = [value]
        while below and not self.is_over:
            value = below.pop()
            self.values += 1
            self.characters += len(value) if isinstance(value, str) else 0
            below += [child for _, child in children(value)] if isinstance(value, Container) else []
        self._check()

    def _check(self) -> None:
        if self.is_over:
            raise InterpolationResolutionError(f"expected {WORDS}")


@contextmanager
def limit_growth() -> Generator[Growth]:
    """Count what is resolved meanwhile; OmegaConf has no limit of its own, and no place to put one."""
    growth = Growth()
    base: Any = omegaconf.base

    class Counting(base.GrammarVisitor):
        """Sees each text that holds an interpolation, as often as it is resolved."""

        def visitInterpolation(self, ctx: Any) -> Any:  # noqa: N802  # OmegaConf's name
            growth.begin()
            return super().visitInterpolation(ctx)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # of Any

        def visitConfigValue(self, ctx: Any) -> Any:  # noqa: N802  # OmegaConf's name
            value: Any = super().visitConfigValue(ctx)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # of Any
            growth.add(value)
            return value  # pyright: ignore[reportUnknownVariableType]  # of Any

    before = base.GrammarVisitor
    base.GrammarVisitor = Counting
    try:
        yield growth
    finally:
        base.GrammarVisitor = before
