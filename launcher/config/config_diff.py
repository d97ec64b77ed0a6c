"""How two frozen configurations differ, key by key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import yaml

from launcher.config.arguments import NumberText
from launcher.config.yaml_loader import loader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ABSENT = object()


def _construct(_: Any, node: yaml.ScalarNode) -> NumberText:
    """Read a number as it is written: the arguments 1.10 and 1.1 differ."""
    return NumberText(node.value)


_NUMBERS = {f"tag:yaml.org,2002:{kind}": _construct for kind in ("int", "float")}


class Difference(NamedTuple):
    """A key with its two values in words."""

    key: str
    frozen: str
    given: str


def differences(frozen: str, given: str, defaults: Mapping[str, Any]) -> list[Difference]:
    """Return what differs between two configurations as YAML, in the order of the first; then what is new.

    An option that the version of the frozen configuration did not have counts as its default.
    """
    old, new = _values(frozen), _values(given)
    old |= {key: value for key, value in _leaves(defaults) if key in new and key not in old}
    return [
        Difference(key, _value_text(old.get(key, _ABSENT)), _value_text(new.get(key, _ABSENT)))
        for key in dict.fromkeys([*old, *new])
        if _value_text(old.get(key, _ABSENT)) != _value_text(new.get(key, _ABSENT))
    ]


def _values(text: str) -> dict[str, Any]:
    """Return the value of each key, and the choice of each group, which the first line tells."""
    first = text.partition("\n")[0]
    choices = dict(word.split("=", 1) for word in first[1:].split()) if first.startswith("#") else {}
    return {**dict(_leaves(yaml.load(text, Loader=loader(text, _NUMBERS)) or {})), **choices}  # noqa: S506  # a safe one


def _leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        if isinstance(value, dict) and value:
            yield from _leaves(cast("Mapping[str, Any]", value), f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _value_text(value: object) -> str:
    return "no such key" if value is _ABSENT else repr(value)
