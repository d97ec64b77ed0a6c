"""Named inputs of a run: what they are, and how they come to this machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from launcher.errors import Problem
    from launcher.spec import Facts, Progress, RunSpec


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Named inputs: `${data:NAME}` in args is the input's absolute path on the node."""

    kind: ClassVar[str] = "inputs"

    inputs: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    """By name, each with `uri` and `mode`, see `Input`."""

    def names(self) -> tuple[str, ...]:
        """See `Data`."""
        return tuple(self.inputs)

    def check(self, spec: RunSpec, facts: Facts) -> Iterable[Problem]:
        """See `Data`."""
        return ()

    def prepare(self, cache: Path, progress: Progress) -> Mapping[str, str]:
        """See `Data`."""
        raise NotImplementedError


CHOICES: Final[dict[str, type]] = {"inputs": Inputs}
