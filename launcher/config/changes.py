"""Which lines of a frozen configuration differ from the installed defaults; knows nothing of Hydra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import yaml

import launcher.compute
import launcher.data
import launcher.distribution
import launcher.environment
from launcher.capabilities import Framework
from launcher.config.yaml_loader import loader
from launcher.project import installed_conf
from launcher.spec import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def changed_lines(config: str, spec: Mapping[str, Any]) -> list[str]:
    """Return the lines whose values are not the defaults, after the first line, which names the choices.

    `spec` is the run's frozen spec, which names the option class of each group.
    """
    node = cast("yaml.Node | None", yaml.compose(config, Loader=loader(config)))  # pyright: ignore[reportUnknownMemberType]  # its stubs name no type
    lines = config.splitlines()
    head = lines[:1] if config.startswith("#") else []
    if not isinstance(node, yaml.MappingNode):
        return lines
    values: dict[str, Any] = yaml.load(config, Loader=loader(config))  # noqa: S506  # a safe one
    return [*head, *(lines[at] for at in _keep(node, values, defaults(spec), len(lines)))]


def _keep(
    node: yaml.MappingNode, values: Mapping[str, Any], defaults: Mapping[str, Any], end: int
) -> Iterator[int]:
    """Yield the numbers of the lines to keep; `end` is the line after the mapping."""
    keys: list[yaml.Node] = [key for key, _ in node.value]
    ends = [*(key.start_mark.line for key in keys[1:]), end]
    for (key, below), stop in zip(node.value, ends, strict=True):
        name = str(key.value)
        value, default = values.get(name), defaults.get(name)
        if value == default:
            continue
        start = key.start_mark.line
        if isinstance(below, yaml.MappingNode) and isinstance(default, dict) and default and value:
            yield start
            yield from _keep(below, cast("dict[str, Any]", value), cast("dict[str, Any]", default), stop)
        else:
            yield from range(start, stop)


def defaults(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the installed defaults of the options that a frozen spec chose."""
    values: dict[str, Any] = yaml.load((installed_conf() / "launcher.yaml").read_bytes(), Loader=loader(""))  # noqa: S506  # a safe one
    for group, classes in (
        ("compute", launcher.compute.CHOICES),
        ("distribution", launcher.distribution.CHOICES),
        ("environment", launcher.environment.CHOICES),
        ("data", launcher.data.CHOICES),
    ):
        option: Any = cast("Mapping[str, Any]", classes).get(_options(spec, group).get("kind", ""))
        if option is not None:
            defaults = plain(option())
            defaults.pop("kind", None)
            values[group] = defaults
    name = _options(spec, "framework").get("name")  # the choice, which the first line names
    values["framework"] = plain(Framework(name=name)) if name else plain(Framework())
    return values


def _options(spec: Mapping[str, Any], group: str) -> dict[str, Any]:
    return spec.get(group) or {}
