"""What OmegaConf knows of a node without resolving it; it has no public names for these."""
# ruff: noqa: SLF001
# pyright: reportPrivateUsage=false

from __future__ import annotations

from copy import deepcopy
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, ListConfig
from omegaconf._utils import split_key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from omegaconf import ValueNode

__all__ = [
    "child",
    "children",
    "copy_config",
    "element_type",
    "find",
    "is_closed",
    "is_number",
    "is_optional",
    "node_value",
    "object_type",
    "remove",
    "set_flag",
    "set_text",
    "split_key",
    "target",
]

_NUMBER = "written_as_number"
"""A flag of nodes."""


def node_value(node: Any) -> Any:
    """Return what a node holds as it stands there: nodes by key, `${…}` or `???` as texts."""
    return node._value()


def child(node: DictConfig | ListConfig, name: Any) -> Any:
    """Return a child, or None."""
    if isinstance(node, ListConfig):
        return node._get_node(name)
    return node._get_node(name, validate_access=False)


def children(node: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the children of a mapping or list with their keys; nothing where there is no value."""
    value = node_value(node)
    if isinstance(node, DictConfig) and isinstance(value, dict):
        yield from value.items()  # pyright: ignore[reportUnknownVariableType]  # untyped there
    elif isinstance(node, ListConfig) and isinstance(value, list):
        yield from enumerate(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]  # untyped there


def copy_config(config: DictConfig, keys: Collection[str]) -> DictConfig:
    """Return a copy of which only these keys may be changed.

    The others are shared, and belong to the newest copy alone: what they interpolate is found there. A whole
    copy takes half of the time that a member of a sweep takes.
    """
    shared = [node for key, node in children(config) if key not in keys]
    copy = deepcopy(config, {id(node): node for node in shared})
    for node in shared:
        node._set_parent(copy)
    return copy


def find(config: DictConfig, key: str) -> Any:
    """Return the node of a key such as `a.b[0]`, not following interpolations, or None."""
    node: Any = config
    for part in split_key(key):
        node = dict(children(node)).get(
            int(part) if isinstance(node, ListConfig) and part.isdigit() else part
        )
        if node is None:
            return None
    return node


def is_optional(node: Any) -> bool:
    """Tell whether a node may be null."""
    return bool(node._is_optional())


def element_type(node: Any) -> Any:
    """Return the type of what a mapping or list takes, or None."""
    return getattr(node._metadata, "element_type", None) if node is not None else None


def is_closed(node: Any) -> bool:
    """Return whether a node is a mapping of known keys only."""
    return isinstance(node, DictConfig) and is_dataclass(node._metadata.object_type)


def object_type(node: Any) -> Any:
    """Return the class that a node stands for."""
    return node._metadata.object_type


def remove(node: DictConfig, key: str) -> None:
    """Remove a key, also of a closed mapping."""
    node_value(node).pop(key)


def target(node: Any) -> Any:
    """Return the node that a node's interpolation leads to, else the node itself."""
    return node._dereference_node()


def set_text(node: ValueNode, text: str, *, number: bool = False) -> None:
    """Set a text in place of a value, also if the node is read-only; `number`: it was written as a number."""
    node._val = text
    if number or is_number(node):
        set_flag(node, _NUMBER, number or None)


def is_number(node: Any) -> bool:
    """Return whether the text of a node was written as a number, without quotes."""
    return bool(node._metadata.flags and node._metadata.flags.get(_NUMBER))


def set_flag(node: Any, flag: str, value: bool | None) -> None:  # as OmegaConf has it
    """Set a flag of a node, or remove it with None."""
    node._set_flag(flag, value)
