"""Whether the numbers of a spec, and of a whole sweep, are within the limits. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from launcher.errors import Problem
from launcher.limits import MEMBERS, NUMBERS, PROCESSES, PROCESSES_OF_SWEEP, Range

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from launcher.facts import Facts
    from launcher.spec import RunSpec


def check_amounts(spec: RunSpec) -> Iterator[Problem]:
    """Return every number that no target takes."""
    found = False
    for key, limits in NUMBERS.items():
        for problem in _of_value(key, _value(spec, key), limits):
            found = True
            yield problem
    size = 0 if found else spec.distribution.size(spec)
    if size > PROCESSES:
        expected = f"at most {PROCESSES:,} processes in all (the processes of a run)"
        yield Problem("nodes, processes_per_node", size, expected)


def check_members(count: int, facts: Facts) -> Iterator[Problem]:
    """Return why a sweep has too many members; `facts` are those of its first."""
    most, why = MEMBERS, "the members of a sweep"
    if facts.cluster is not None and facts.cluster.max_jobs < most:
        most, why = facts.cluster.max_jobs, "MaxJobCount of this cluster"
    if count > most:
        yield Problem("-m", count, f"at most {most:,} members ({why})", "Split the sweep")


def check_sweep(specs: Sequence[RunSpec]) -> Iterator[Problem]:
    """Return why the members of a sweep, each of which is fine, are too many processes together."""
    total = sum(spec.distribution.size(spec) for spec in specs) if len(specs) > 1 else 0
    if total > PROCESSES_OF_SWEEP:
        expected = f"at most {PROCESSES_OF_SWEEP:,} processes of all members together"
        yield Problem("-m", total, expected, "Split the sweep")


def _value(spec: RunSpec, key: str) -> object:
    """Return what a spec has under a key of the configuration; None where its choices have no such option."""
    group, dot, name = key.partition(".")
    if dot:
        return getattr(getattr(spec, group), name, None)
    return getattr(spec.resources, key, None) if hasattr(spec.resources, key) else getattr(spec, key)


def _of_value(key: str, value: object, limits: Range) -> Iterator[Problem]:
    if isinstance(value, Mapping):
        for name, below in cast("Mapping[str, object]", value).items():
            yield from _of_value(f"{key}.{name}", below, limits)
    elif isinstance(value, (int, float)):
        expected = limits.problem_of(value)
        if expected:
            yield Problem(key, value, expected)
