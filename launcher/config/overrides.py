"""Overrides: parsed one by one, with the text that was typed where the type would lose it."""
# ruff: noqa: SLF001
# pyright: reportPrivateUsage=false
# The grammar of Hydra has no public names.

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from hydra.core.override_parser.overrides_parser import OverridesParser, create_functions
from hydra.core.override_parser.overrides_visitor import HydraOverrideVisitor
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException
from hydra.grammar.gen.OverrideLexer import CommonTokenStream, InputStream, OverrideLexer
from hydra.grammar.gen.OverrideParser import OverrideParser

from launcher.config.arguments import POSITIONAL
from launcher.config.describe import override_problem
from launcher.config.files import FLOAT, INT
from launcher.errors import Problem
from launcher.limits import DEPTH, ITEMS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hydra._internal.config_loader_impl import ConfigLoaderImpl


class Parser:
    """Hydra's parser, which keeps what it parsed: a sweep repeats most of its overrides."""

    def __init__(self, loader: ConfigLoaderImpl | None = None) -> None:
        self._parser = OverridesParser.create(config_loader=loader)
        self._loader = loader
        self._parsed: dict[str, Override] = {}

    def parse(self, words: Sequence[str], problems: list[Problem | str]) -> list[Override]:
        """Return the overrides; every word that is none is added to `problems`."""
        overrides: list[Override] = []
        for word in words:
            excess = limit_problem(word)
            if excess is not None:
                problems.append(excess)
                continue
            spellings = (word, quote_items(word), quote_homes(word), quote_items(quote_homes(word)))
            better = next((each for each in spellings if self.readable(each)), None)
            if better is not None:
                overrides.append(self.parse_one(better))
            else:
                problems.append(override_problem(word, quote, self.readable))
        return overrides

    def parse_one(self, word: str) -> Override:
        """Return one override.

        Raises:
            HydraException: the word is none.
        """
        if word not in self._parsed:
            override = self._parser.parse_override(word)
            override.config_loader = self._loader
            override._value = whole_args(override.key_or_group, override._value)
            self._parsed[word] = override
        return self._parsed[word]

    def readable(self, word: str) -> bool:
        """Tell whether a word is an override."""
        try:
            return bool(self.parse_one(word).key_or_group)
        except HydraException:
            return False


def limit_problem(word: str) -> Problem | None:
    """Return the problem of a word that Hydra's parser would take too long, or too many calls, to read."""
    key, equal, value = word.partition("=")
    if key.count(".") >= DEPTH:
        return Problem(key[:BEGINNING] + "…", f"{key.count('.') + 1} levels", f"at most {DEPTH}")
    bare = _QUOTED.sub("", value if equal else word)
    key = key[:BEGINNING]
    if bare.count(",") >= ITEMS:
        hint = "Put them into a file, such as an experiment"
        return Problem(key, f"{bare.count(',') + 1:,} values", f"at most {ITEMS:,} on the command line", hint)
    depth = most = 0
    for bracket in _BRACKET.findall(bare):
        depth += 1 if bracket in "[{(" else -1
        most = max(most, depth)
    return Problem(key, f"{most} levels", f"at most {DEPTH}") if most > DEPTH else None


_QUOTED: Final = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")
BEGINNING: Final = 60
"""Characters of a long key that a message shows."""
_BRACKET: Final = re.compile(r"[\[\]{}()]")


class _Int(int):
    """A whole number that prints as it was typed."""

    text: str

    def __str__(self) -> str:
        return self.text


class _Float(float):
    """A number that prints as it was typed."""

    text: str

    def __str__(self) -> str:
        return self.text


class _Raw(HydraOverrideVisitor):
    """Sees numbers and booleans with the text that was typed: `2.10` is not 2.1. Functions can still sort."""

    def _createPrimitive(self, ctx: Any) -> Any:  # noqa: N802  # Hydra's name
        value: Any = super()._createPrimitive(ctx)
        text = ctx.getText().strip()
        if isinstance(value, bool):
            return text
        if isinstance(value, (int, float)):
            number = _Int(value) if isinstance(value, int) else _Float(value)
            number.text = text
            return number
        return value

    def visitFunction(self, ctx: Any) -> Any:  # noqa: N802  # Hydra's name
        if ctx.getChild(0).getText() in _KEEPING:
            return super().visitFunction(ctx)
        return HydraOverrideVisitor(self.functions).visitFunction(ctx)  # its types must match exactly


_KEEPING: Final = {"choice", "shuffle", "sort", "str", "tag"}
"""Functions of Hydra that return what they are given."""


def _raw(line: str) -> Any:
    parser = OverrideParser(CommonTokenStream(OverrideLexer(InputStream(line))))
    override: Any = _Raw(create_functions()).visit(parser.override())
    return override._value


def raw_value(override: Override) -> Any:
    """Return an override's value with numbers that print as they were typed, and booleans as texts."""
    line, value = cast("str", override.input_line), override.value()
    typed = line.partition("=")[2].strip()
    if not has_number(value) and "str(" not in typed:
        return value
    if isinstance(value, (int, float)) and (INT.match(typed) or FLOAT.match(typed)):
        return typed  # the usual case, without a second parse
    return Override._convert_value(whole_args(override.key_or_group, _raw(line)))


def has_number(value: Any) -> bool:
    """Return whether there are numbers or booleans in an override's value."""
    if isinstance(value, dict):
        return any(map(has_number, cast("dict[Any, Any]", value).values()))
    if isinstance(value, list):
        return any(map(has_number, cast("list[Any]", value)))
    return isinstance(value, (bool, int, float))


class WholeArgs(dict[str, Any]):
    """A list for `args`, as a mapping: it takes the place of all arguments before it."""


def whole_args(key: str, value: Any) -> Any:
    """Return the value of an override; a list for `args` as a mapping, since no list merges into one."""
    return WholeArgs({POSITIONAL: value}) if key == "args" and isinstance(value, list) else value


def sweep_texts(override: Override) -> list[str]:
    """Return the values of a sweep in order, each as it may follow `key=`."""
    sweep = _raw(cast("str", override.input_line))
    return list(replace(override, _value=sweep).sweep_string_iterator())


_ITEM: Final = re.compile(r"""(?:'[^']*'|"[^"]*"|\[(?:[^\[\]]|\[[^\[\]]*\])*\]|[^,'"\[\]])+""")
"""An item of a list; commas within quotes, and within the brackets of `pandas[excel,test]`, belong to it."""


def quote_items(word: str) -> str:
    """Return `key=[numpy==2.1,six<2]` with its items quoted, which Hydra's grammar wants and nobody types."""
    key, _, value = word.partition("=")
    if not (value.startswith("[") and value.endswith("]")) or any(mark in value for mark in "{}\\"):
        return word
    return f"{key}={_quote_list(value)}"


def _quote_list(text: str) -> str:
    items = [item.strip() for item in _ITEM.findall(text[1:-1])]
    return f"[{','.join(map(_quote_item, items))}]"


def _quote_item(item: str) -> str:
    if item[:1] in {"'", '"'} and item.endswith(item[0]):
        return item
    return _quote_list(item) if item.startswith("[") and item.endswith("]") else quote(item)


HOME = re.compile(r"(?<=[=,\[(])~[^\s,\[\](){}:=\"'\\\\]*")


def quote_homes(word: str) -> str:
    """Return `key=~/data,~ann/data` with its paths quoted, which begin with what Hydra's grammar lacks."""
    return HOME.sub(lambda found: quote(found[0]), word)


def quote(text: str) -> str:
    """Return a text quoted so that Hydra takes it as it is."""
    return QuotedString(text, Quote.double if "'" in text else Quote.single).with_quotes()
