"""What a launch holds open from its first question to its end; frozen values hold none of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    T = TypeVar("T")


class Session:
    """The live handles of one launch, each opened when it is first asked for."""

    def __init__(self) -> None:
        self._open: dict[Any, Any] = {}

    def open(self, make: Callable[[], T]) -> T:
        """Return what `make` gave the first time."""
        if make not in self._open:
            self._open[make] = make()
        return self._open[make]
