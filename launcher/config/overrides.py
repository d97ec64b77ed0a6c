"""Overrides: parsed one by one, with the text that was typed where the type would lose it."""
# ruff: noqa: SLF001
# pyright: reportPrivateUsage=false
# The grammar of Hydra has no public names.

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from hydra.core.override_parser.overrides_parser import OverridesParser, create_functions
from hydra.core.override_parser.overrides_visitor import HydraOverrideVisitor
from hydra.core.override_parser.types import ChoiceSweep, Override, Quote, QuotedString
from hydra.errors import HydraException
from hydra.grammar.gen.OverrideLexer import CommonTokenStream, InputStream, OverrideLexer
from hydra.grammar.gen.OverrideParser import OverrideParser
from omegaconf import DictConfig, ListConfig, StringNode

from launcher.config.describe import unreadable
from launcher.config.nodes import children, find, set_text

if TYPE_CHECKING:
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

    from launcher.errors import Problem


class Parser:
    """Hydra's parser, which keeps what it parsed: a sweep repeats most of its overrides."""

    def __init__(self, loader: ConfigLoaderImpl) -> None:
        self._parser = OverridesParser.create(config_loader=loader)
        self._loader = loader
        self._parsed: dict[str, Override] = {}

    def parse(self, words: Sequence[str], problems: list[Problem | str]) -> list[Override]:
        """Return the overrides; every word that is none is added to `problems`."""
        overrides: list[Override] = []
        for word in words:
            better = word if self.readable(word) else quoted_items(word)
            if self.readable(better):
                overrides.append(self.parse_one(better))
            else:
                problems.append(unreadable(word, quoted, self.readable))
        return overrides

    def parse_one(self, word: str) -> Override:
        """Return one override.

        Raises:
            HydraException: the word is none.
        """
        if word not in self._parsed:
            override = self._parser.parse_override(word)
            override.config_loader = self._loader
            self._parsed[word] = override
        return self._parsed[word]

    def readable(self, word: str) -> bool:
        """Tell whether a word is an override."""
        try:
            return bool(self.parse_one(word).key_or_group)
        except HydraException:
            return False


class _Raw(HydraOverrideVisitor):
    """Sees numbers and booleans as the text that was typed: `2.10` is not 2.1."""

    def _createPrimitive(self, ctx: Any) -> Any:  # noqa: N802  # Hydra's name
        value: Any = super()._createPrimitive(ctx)
        return ctx.getText().strip() if isinstance(value, (bool, int, float)) else value

    def visitFunction(self, ctx: Any) -> Any:  # noqa: N802  # Hydra's name
        if ctx.getChild(0).getText() == "choice":
            return super().visitFunction(ctx)
        return HydraOverrideVisitor(self.functions).visitFunction(ctx)  # casts and ranges need numbers


def _raw(line: str) -> Any:
    parser = OverrideParser(CommonTokenStream(OverrideLexer(InputStream(line))))
    override: Any = _Raw(create_functions()).visit(parser.override())
    return override._value


def raw_value(override: Override) -> Any:
    """Return an override's value with numbers and booleans as they were typed."""
    return Override._convert_value(_raw(cast("str", override.input_line)))


def sweep_texts(override: Override) -> list[str]:
    """Return the values of a sweep in order, each as it may follow `key=`."""
    sweep = _raw(cast("str", override.input_line))
    if isinstance(sweep, ChoiceSweep) and not sweep.shuffle:
        return [Override._get_value_element_as_str(item) for item in sweep.list]
    return list(override.sweep_string_iterator())


def keep_text(config: DictConfig, overrides: Sequence[Override]) -> None:
    """Give the fields typed as text what was typed, not what Hydra's number was turned into."""
    for override in overrides:
        if override.is_delete() or not _has_number(override.value()):
            continue
        node = find(config, override.key_or_group)
        if isinstance(node, (StringNode, DictConfig, ListConfig)):
            _keep(node, raw_value(override))


def _has_number(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_has_number(item) for item in cast("Mapping[Any, Any]", value).values())
    if isinstance(value, list):
        return any(_has_number(item) for item in cast("list[Any]", value))
    return isinstance(value, (bool, int, float))


def _keep(node: Any, value: Any) -> None:
    if isinstance(node, StringNode) and isinstance(value, str):
        set_text(node, value)
    elif isinstance(value, (dict, list)):
        items = dict(enumerate(value)) if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # of any type
        for key, below in children(node):
            if key in items:
                _keep(below, items[key])


def quoted_items(word: str) -> str:
    """Return `key=[numpy==2.1,six<2]` with its items quoted, which Hydra's grammar wants and nobody types."""
    key, _, value = word.partition("=")
    if not (value.startswith("[") and value.endswith("]")) or any(mark in value for mark in "{}'\"\\"):
        return word
    items = re.split(r",(?![^\[\]]*\])", value[1:-1])  # not within the brackets of `pandas[excel,test]`
    return f"{key}=[{','.join(quoted(item.strip()) for item in items)}]"


def quoted(text: str) -> str:
    """Return a text quoted so that Hydra takes it as it is."""
    return QuotedString(text, Quote.double if "'" in text else Quote.single).with_quotes()
