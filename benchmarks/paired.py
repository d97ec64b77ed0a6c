"""Pairs of measurements A B A B …, compared pair by pair, and the table of what came out.

A shared machine changes its speed by the minute: two neighbours in time share it, two medians of
separate series do not.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Measure = Callable[[int | None], Sequence["Comparison"]]


class By(StrEnum):
    """What is made of a pair."""

    RATIO = "x"
    """Ours divided by the peer's."""
    DIFFERENCE = "more"
    """Ours less the peer's."""
    ITSELF = ""
    """Ours alone; the peer's is shown for orientation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The target: the median of the pairs is at most, or at least, this."""

    sign: str
    value: float

    def met(self, figure: float) -> bool:
        """Tell whether a figure meets it."""
        return figure <= self.value if self.sign == "<=" else figure >= self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What was measured of the launcher and of a peer, in turn."""

    what: str
    peer: str
    unit: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    by: By = By.RATIO
    bound: Bound | None = None
    """None: a figure for orientation."""

    def pairs(self) -> list[float]:
        """Return the figure of each pair."""
        pairs = zip(self.ours, self.theirs, strict=True)
        if self.by is By.RATIO:
            return [ours / theirs for ours, theirs in pairs]
        return [ours - theirs if self.by is By.DIFFERENCE else ours for ours, theirs in pairs]

    def row(self) -> tuple[str, ...]:
        """Return the line of the table."""
        pairs = self.pairs()
        unit = "x" if self.by is By.RATIO else f"{self.unit} {self.by}".strip()
        target, verdict = "-", "-"
        if self.bound is not None:
            target = f"{self.bound.sign} {_number(self.bound.value)} {unit}"
            verdict = "met" if self.bound.met(median(pairs)) else "MISSED"
        return (
            self.what,
            self.peer,
            f"{_number(median(self.ours))} {self.unit}",
            f"{_number(median(self.theirs))} {self.unit}",
            f"{_number(min(pairs))} / {_number(median(pairs))} / {_number(max(pairs))} {unit}",
            str(len(pairs)),
            target,
            verdict,
        )


HEAD = ("what", "peer", "launcher", "peer's", "pairs: min / median / max", "n", "target", "")


def in_turn(
    ours: Callable[[], float], theirs: Callable[[], float], pairs: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Measure A B A B …, after one of each that does not count; return both series."""
    ours()
    theirs()
    taken = [(ours(), theirs()) for _ in range(pairs)]
    return tuple(pair[0] for pair in taken), tuple(pair[1] for pair in taken)


def show(comparisons: Sequence[Comparison]) -> None:
    """Print the table."""
    rows = [HEAD, *(comparison.row() for comparison in comparisons)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def load() -> str:
    """Return what else this machine does, to judge the figures by."""
    return f"{os.cpu_count()} CPUs, load {' '.join(f'{figure:.1f}' for figure in os.getloadavg())}"


def main(measure: Measure, doc: str | None) -> None:
    """Run one benchmark as a command: `--pairs N`, then its table."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--pairs", type=int, help="pairs to measure; each benchmark has its own default")
    options = parser.parse_args()
    print(f"before: {load()}", file=sys.stderr)
    show(measure(options.pairs))
    print(f"after: {load()}", file=sys.stderr)


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"  # noqa: PLR2004  # enough digits
