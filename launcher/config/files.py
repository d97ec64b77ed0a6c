"""YAML files of a configuration, read with the text of their numbers and booleans.

A scalar without quotes means what it means on the command line: a number, true, false, null, else text.
OmegaConf, which reads YAML 1.1, also makes 12:30:45 and 010 numbers and yes a boolean. Hydra's own tree stays
as OmegaConf reads it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import yaml
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import OmegaConf
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from launcher.config.arguments import POSITIONAL
from launcher.project import installed_conf
from launcher.yaml_bounds import check_depth, check_file, check_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hydra.core.config_search_path import ConfigSearchPath

    Key = str | int
    Texts = tuple[tuple[tuple[Key, ...], str], ...]

_TAG: Final = "tag:yaml.org,2002:"
_TEXT, _NULL, _BOOL, _INT, _FLOAT, _MERGE = (
    f"{_TAG}{name}" for name in ("str", "null", "bool", "int", "float", "merge")
)
_UNSIGNED: Final = r"(?:0|[1-9](?:_?\d)*)"
_POINT: Final = rf"(?:{_UNSIGNED}\.|{_UNSIGNED}?\.\d(?:_?\d)*)"
INT: Final = re.compile(rf"[-+]?{_UNSIGNED}$", re.ASCII)
FLOAT: Final = re.compile(rf"[-+]?(?:{_POINT}|(?:{_UNSIGNED}|{_POINT})[eE][-+]?\d(?:_?\d)*)$", re.ASCII)
"""Numbers as the grammar of Hydra's overrides has them."""

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one is ten times as fast


class _Reader(_Base):
    """Reads scalars as an override is read."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  # filled below


_Reader.add_implicit_resolver(_NULL, re.compile(r"(?:~|null|)$", re.IGNORECASE), ["~", "n", "N", ""])
_Reader.add_implicit_resolver(_BOOL, re.compile(r"(?:true|false)$", re.IGNORECASE), list("tTfF"))
_Reader.add_implicit_resolver(_INT, INT, list("-+0123456789"))
_Reader.add_implicit_resolver(_FLOAT, FLOAT, list("-+.0123456789"))
_Reader.add_implicit_resolver(_MERGE, re.compile("<<$"), ["<"])


def _construct(reader: Any, node: ScalarNode) -> bool | int | float:
    text = str(reader.construct_scalar(node))
    if node.tag == _BOOL:
        return text.lower() == "true"
    return int(text) if node.tag == _INT else float(text)


for _tag in (_BOOL, _INT, _FLOAT):
    _Reader.add_constructor(_tag, _construct)


@dataclass
class TextResult(ConfigResult):
    """A file with the text of the scalars that are no text, by their way through the file."""

    texts: Texts = ()
    lists_args: bool = False
    """Whether its `args` are a list, which takes the place of all arguments before it."""


class TextSource(FileConfigSource):
    """A folder of files that keep their text."""

    def load_config(self, config_path: str) -> ConfigResult:
        """See Hydra's `ConfigSource`."""
        path = Path(self.path, self._normalize_file_name(config_path))
        check_file(path)
        if config_path.startswith("hydra/") or not path.is_file():
            return super().load_config(config_path)
        text = path.read_text(encoding="utf-8-sig")  # an editor's byte order mark is no text
        if Path(self.path) != installed_conf():  # whose levels are known, and whose files are most
            check_depth(text)
        reader = _Reader(text)
        try:
            root = reader.get_single_node()
            check_nodes(root)
            if not isinstance(root, MappingNode):
                return super().load_config(config_path)
            lists_args = _prepare(root)
            data = cast("dict[str, Any]", reader.construct_document(root))
        finally:
            reader.dispose()
        if "hydra" in data:
            data["hydra"] = OmegaConf.select(OmegaConf.create(text), "hydra")
        return TextResult(
            config=OmegaConf.create(data),
            path=f"{self.scheme()}://{self.path}",
            provider=self.provider,
            header=ConfigSource._get_header_dict(text[:512]),  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # as Hydra's own
            texts=tuple(_texts(root)),
            lists_args=lists_args,
        )


class TextRepository(ConfigRepository):
    """Hydra's sources, with files that keep their text."""

    def initialize_sources(self, config_search_path: ConfigSearchPath) -> None:
        """See Hydra's `IConfigRepository`."""
        super().initialize_sources(config_search_path)
        # Not by class: Hydra's scan for plugins runs the module of a source again, which makes another class.
        self.sources = [
            TextSource(source.provider, source.full_path())
            if source.scheme() == FileConfigSource.scheme()
            else source
            for source in self.sources
        ]


def _prepare(root: MappingNode) -> bool:
    """Make keys and the defaults list text, and a list of `args` a mapping; return whether there was one."""
    _check_keys(root)
    lists_args = False
    for at, (key, value) in enumerate(root.value):
        if key.value == "defaults":
            _make_text(value)
        elif key.value == "args" and isinstance(value, SequenceNode):
            inner = [(ScalarNode(_TEXT, POSITIONAL), value)]
            root.value[at] = (key, MappingNode(f"{_TAG}map", inner, value.start_mark, value.end_mark))
            lists_args = True
    return lists_args


def _check_keys(node: Node) -> None:
    """Make every key a text, such as `on`; a key that is given twice is an error, as OmegaConf has it."""
    if isinstance(node, MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, ScalarNode) and key.tag != _MERGE:
                key.tag = _TEXT
                if key.value in seen:
                    raise ConstructorError(
                        "while constructing a mapping",
                        node.start_mark,
                        f"found duplicate key {key.value}",
                        key.start_mark,
                    )
                seen.add(key.value)
            _check_keys(value)
    elif isinstance(node, SequenceNode):
        for item in node.value:
            _check_keys(item)


def _make_text(node: Node) -> None:
    for part in _scalars(node):
        if part[1].tag != _NULL:
            part[1].tag = _TEXT


def _scalars(node: Node, path: tuple[Key, ...] = ()) -> Iterator[tuple[tuple[Key, ...], ScalarNode]]:
    """Yield the scalars below a node, keys aside, each with the way to it."""
    if isinstance(node, ScalarNode):
        yield path, node
    elif isinstance(node, SequenceNode):
        for at, item in enumerate(node.value):
            yield from _scalars(item, (*path, at))
    elif isinstance(node, MappingNode):
        # A key that `<<` brings comes first and again where the mapping has one of its own.
        below = {key.value: value for key, value in node.value if isinstance(key, ScalarNode)}
        for name, value in below.items():
            yield from _scalars(value, (*path, name))


def _texts(root: MappingNode) -> Iterator[tuple[tuple[Key, ...], str]]:
    """Yield the text of numbers and booleans; under `hydra`, of all that has no quotes."""
    for path, node in _scalars(root):
        if node.tag in {_BOOL, _INT, _FLOAT} or (path[0] == "hydra" and not node.style and node.tag != _NULL):
            yield path, node.value
