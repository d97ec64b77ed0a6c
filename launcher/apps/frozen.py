"""A composed configuration as JSON and back, with everything that YAML would lose.

Types of structured configs, which to_object and validation need, are written as names; flags, missing
values, interpolations and what resolvers gave once (`${now:…}`) stay as they are. Nothing is pickled.
"""
# ruff: noqa: SLF001
# pyright: reportPrivateUsage=false
# OmegaConf has no public way to make a node with its types.

from __future__ import annotations

import math
import sys
from collections import defaultdict
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any, Final, cast, get_args, get_origin

from omegaconf import DictConfig, ListConfig, nodes
from omegaconf.base import ContainerMetadata, Metadata, Node, UnionNode

from launcher.config.omegaconf_nodes import node_value
from launcher.errors import ConfigError, Problem

ATTRIBUTES: Final = ("ref_type", "object_type", "key_type", "element_type")
CONTAINERS: Final = {"DictConfig": DictConfig, "ListConfig": ListConfig, "UnionNode": UnionNode}


def freeze(config: DictConfig) -> dict[str, Any]:
    """Return a configuration as data for JSON.

    Raises:
        ConfigError: it holds an object, or a class that no other process finds.
    """
    cache = {
        resolver: [[arguments, value] for arguments, value in values.items() if _simple((arguments, value))]
        for resolver, values in config._metadata.resolver_cache.items()
    }
    return {"cache": cache, "root": _node(config, "")}


def thaw(data: dict[str, Any]) -> DictConfig:
    """Return the configuration that was frozen; classes of `__main__` must be there by now."""
    config = _made(data["root"], None)
    cache: dict[str, Any] = defaultdict(dict)
    for resolver, values in data["cache"].items():
        cache[resolver] = {_tuples(arguments): value for arguments, value in values}
    config._metadata.resolver_cache = cache
    return cast("DictConfig", config)


def _node(node: Node, where: str) -> dict[str, Any]:
    meta = node._metadata
    data: dict[str, Any] = {"is": type(node).__name__, "optional": meta.optional}
    if meta.flags:
        data["flags"] = meta.flags
    for name in ATTRIBUTES:
        hint = getattr(meta, name, None)
        if hint is not None:
            data[name] = _hint(hint, where)
    value = node_value(node)
    content = node.__dict__.get("_content")
    if isinstance(content, Node):
        data["of"] = _node(content, where)
    elif isinstance(value, dict):
        items = cast("dict[Any, Node]", value).items()
        data["items"] = [[_value(key, where), _node(below, f"{where}.{key}")] for key, below in items]
    elif isinstance(value, list):
        below = enumerate(cast("list[Node]", value))
        data["elements"] = [_node(each, f"{where}[{number}]") for number, each in below]
    else:
        data["value"] = _value(value, where)
    return data


def _made(data: dict[str, Any], parent: Any, key: Any = None) -> Any:
    kind = data["is"]
    container = kind in {"DictConfig", "ListConfig"}
    hints: dict[str, Any] = {name: _found(data[name]) for name in ATTRIBUTES if name in data}
    if container:
        hints = {"key_type": None, "element_type": None, **hints}
    make: Any = ContainerMetadata if container else Metadata
    meta = make(
        **{"ref_type": None, "object_type": None, **hints},
        optional=data["optional"],
        key=key,
        flags=data.get("flags"),
    )
    cls: Any = CONTAINERS.get(kind) or getattr(nodes, kind)
    node: Any = cls(meta.ref_type) if kind == "EnumNode" else cls.__new__(cls)
    node.__dict__.update(_metadata=meta, _parent=parent, _flags_cache=None)
    if "items" in data:
        pairs = [(_read(name), below) for name, below in data["items"]]
        content: Any = {name: _made(below, node, name) for name, below in pairs}
    elif "elements" in data:
        content = [_made(each, node, at) for at, each in enumerate(data["elements"])]
    elif "of" in data:
        content = _made(data["of"], node)
    else:
        content = _read(data["value"])
    node.__dict__["_val" if hasattr(nodes, kind) and kind != "UnionNode" else "_content"] = content
    return node


def _value(value: Any, where: str) -> Any:
    if isinstance(value, Enum):
        return {"enum": _class(type(value), where), "name": value.name}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, Path):
        return {"path": str(value)}
    if isinstance(value, float) and not math.isfinite(value):  # JSON has none
        return {"float": str(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ConfigError([Problem(where.lstrip("."), repr(value), "a value that a file can hold")])


def _read(value: Any) -> Any:
    match value:
        case {"enum": str(cls), "name": name}:
            return _named(cls)[name]
        case {"bytes": str(text)}:
            return bytes.fromhex(text)
        case {"path": str(text)}:
            return Path(text)
        case {"float": str(text)}:
            return float(text)
        case _:
            return value


def _hint(hint: Any, where: str) -> Any:
    """Return a type as data: `int`, `module:Class`, or a generic with its arguments."""
    arguments = get_args(hint)
    if hint is Any or hint is Ellipsis:
        return "typing:Any" if hint is Any else "builtins:Ellipsis"
    if not arguments:
        return _class(hint, where)
    name = getattr(hint, "_name", None)  # typing's List, Dict, Tuple
    if name in {"List", "Dict", "Tuple"}:
        outer = f"typing:{name}"
    else:
        origin: Any = get_origin(hint)
        outer = f"builtins:{origin.__name__}" if origin in {list, dict, tuple} else "typing:Union"
    return [outer, *(_hint(argument, where) for argument in arguments)]


def _found(data: Any) -> Any:
    if isinstance(data, str):
        return _named(data)
    return _named(data[0])[tuple(_found(argument) for argument in data[1:])]


def _class(cls: Any, where: str) -> str:
    """Return the name of a class, which must lead to it."""
    module, name = getattr(cls, "__module__", ""), getattr(cls, "__qualname__", "")
    if cls is type(None):
        return "types:NoneType"
    full = f"{module}:{name}"
    try:
        same = _named(full) is cls
    except (ImportError, AttributeError):
        same = False
    if not same:
        expected = "a class of a module, which another process finds; not one inside a function"
        raise ConfigError([Problem(where.lstrip(".") or "config", full, expected)])
    return full


def _named(full: str) -> Any:
    module, _, name = full.partition(":")
    found: Any = sys.modules.get(module) or import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _simple(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(_simple(item) for item in cast("tuple[Any, ...]", value))
    return value is None or isinstance(value, (bool, int, float, str))


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in cast("list[Any]", value)) if isinstance(value, list) else value
