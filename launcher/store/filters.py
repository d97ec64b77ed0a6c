"""Filters of a list of runs: `state=failed name=mnist tag=team=vision since=2h`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.errors import ConfigError, Problem, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

KEYS = ("name", "since", "state", "sweep", "tag")
UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class Filters:
    """What a run must be to be shown; alternatives within one filter, all filters together."""

    def __init__(self, *, names: Iterable[str] = (), sweep: str | None = None) -> None:
        self.states: set[str] = set()
        self.names = set(names)
        self.sweep = sweep
        self.since: float | None = None  # earliest creation, in seconds since the epoch
        self.tags: list[tuple[str, str | None]] = []  # keys, each with the value wanted, None for any

    def tagged(self, tags: Mapping[str, str]) -> bool:
        """Tell whether a run with these tags passes."""
        return all(key in tags and wanted in {None, str(tags[key])} for key, wanted in self.tags)


def parse_filters(words: Sequence[str], now: float) -> Filters:
    """Return the filters of a command line.

    Raises:
        ConfigError: with every word that is no filter.
    """
    filters = Filters()
    problems: list[Problem] = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or key not in KEYS:
            choices = "a filter " + ", ".join(f"{choice}=…" for choice in KEYS)
            problems.append(Problem(f"filter {key}", word, choices, nearest(key, KEYS)))
            continue
        problem = _PARSERS[key](filters, value, now)
        problems += [problem] if problem is not None else []
    if problems:
        raise ConfigError(problems)
    return filters


def _state(filters: Filters, value: str, _: float) -> Problem | None:
    from launcher.spec import State  # noqa: PLC0415  # 10 ms that other lists do not need

    states = {state.lower(): str(state) for state in State}
    for name in value.lower().split(","):
        if name not in states:
            return Problem("filter state", name, f"one of {', '.join(states)}", nearest(name, list(states)))
        filters.states.add(states[name])
    return None


def _name(filters: Filters, value: str, _: float) -> Problem | None:
    filters.names.update(value.split(","))
    return None


def _sweep(filters: Filters, value: str, _: float) -> Problem | None:
    filters.sweep = value
    return None


def _tag(filters: Filters, value: str, _: float) -> Problem | None:
    key, equals, wanted = value.partition("=")
    filters.tags.append((key, wanted if equals else None))
    return None if key else Problem("filter tag", value, "tag=KEY or tag=KEY=VALUE")


def _since(filters: Filters, value: str, now: float) -> Problem | None:
    ago = re.fullmatch(r"(\d+(?:\.\d+)?)([mhdw])", value)
    if ago:
        filters.since = now - float(ago[1]) * UNITS[ago[2]]
        return None
    from datetime import datetime  # noqa: PLC0415  # 2 ms that other lists do not need

    try:
        filters.since = datetime.fromisoformat(value).timestamp()  # without an offset: local time
    except (ValueError, OverflowError, OSError):
        return Problem("filter since", value, "30m, 2h, 3d, 1w or an ISO date such as 2026-03-01")
    return None


_PARSERS: dict[str, Callable[[Filters, str, float], Problem | None]] = {
    "name": _name,
    "since": _since,
    "state": _state,
    "sweep": _sweep,
    "tag": _tag,
}
