"""Text in a composed configuration: as it was written, in files and on the command line.

Hydra reads `1.10` as the number 1.1 and forgets how it was written. After each merge, fields for text and
fields for anything get the text back; only fields typed as numbers or booleans keep what was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from hydra.errors import ConfigCompositionException
from omegaconf import AnyNode, BooleanNode, DictConfig, ListConfig, StringNode
from omegaconf.errors import ValidationError

from launcher.config.files import INT
from launcher.config.omegaconf_nodes import child, children, find, node_value, remove, set_text, split_key
from launcher.config.overrides import WholeArgs, has_number, raw_value, sweep_texts
from launcher.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from hydra.core.override_parser.types import Override

    from launcher.config.files import Key, Texts
    from launcher.config.overrides import Parser


def restore_file(config: DictConfig, way: Sequence[str], texts: Texts) -> None:
    """Restore the texts of a file that was merged at `way`."""
    for path, text in texts:
        node = _descend(config, (*way, *path))
        if INT.match(text):
            _check_boolean(".".join(map(str, (*way, *path))), node, int(text))
        if isinstance(node, StringNode):
            set_text(node, text)
        elif isinstance(node, AnyNode) and (*way, *path)[0] != "hydra" and type(node_value(node)) is not bool:
            set_text(node, text, number=True)


def _check_boolean(key: str, node: Any, value: Any) -> None:
    """Refuse numbers other than 0 and 1, each of which OmegaConf takes for true."""
    if isinstance(node, BooleanNode) and isinstance(value, (int, float)) and value not in {0, 1}:
        problem = str(Problem(key, value, "true or false"))
        raise ConfigCompositionException(problem) from ValidationError(problem)


def _descend(config: DictConfig, path: Sequence[Key]) -> Any:
    node: Any = config
    for part in path:
        if not isinstance(node, (DictConfig, ListConfig)) or not isinstance(node_value(node), (dict, list)):
            return None
        node = child(node, part)
    return node


def restore_overrides(config: DictConfig, overrides: Sequence[Override]) -> None:
    """Restore what was typed, after the overrides were applied; of two for a key the last counts."""
    wholes = [at for at, override in enumerate(overrides) if is_whole(override)]
    if wholes:
        drop_args(config, _names(overrides[wholes[-1] :]))
    done: set[int] = set()
    for override in reversed(overrides):
        node = find(config, override.key_or_group)
        if node is None or override.is_delete() or override.is_sweep_override():
            continue
        value: Any = override.value()
        _check_boolean(override.key_or_group, node, value)
        _restore_below(node, value, raw_value(override), done, untyped=not override.is_hydra_override())


def _restore_below(node: Any, value: Any, raw: Any, done: set[int], *, untyped: bool) -> None:
    if isinstance(node, (DictConfig, ListConfig)):
        values, raws = _items(value), _items(raw)
        for key, below in children(node):
            if key in values and key in raws:
                _restore_below(below, values[key], raws[key], done, untyped=untyped)
    elif id(node) not in done:
        done.add(id(node))
        _restore(node, value, raw, untyped=untyped)


def _items(value: Any) -> Mapping[Any, Any]:
    if isinstance(value, list):
        return dict(enumerate(cast("list[Any]", value)))
    return cast("Mapping[Any, Any]", value) if isinstance(value, Mapping) else {}


def _restore(node: Any, value: Any, raw: Any, *, untyped: bool) -> None:
    """Give a node the text that it was written with, if it is for text or, with `untyped`, for anything."""
    if isinstance(value, (bool, int, float)):
        if isinstance(node, StringNode):
            set_text(node, str(raw))
        elif isinstance(node, AnyNode) and untyped and not isinstance(value, bool):
            set_text(node, str(raw), number=True)
    elif isinstance(node, (StringNode, AnyNode)) and isinstance(raw, str):
        set_text(node, raw)


def drop_args(config: DictConfig, kept: Collection[str] = ()) -> None:
    """Remove the arguments that a list takes the place of, but those `kept`."""
    for key, names in (("args", kept), ("example.args", ())):
        node = find(config, key)
        if node is None:
            continue
        for name in [name for name, _ in children(node)]:
            if name not in names:
                remove(node, name)


def is_whole(override: Override) -> bool:
    """Return whether an override gives a list for all of `args`."""
    return isinstance(override._value, WholeArgs)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def _names(overrides: Sequence[Override]) -> set[str]:
    """Return the names of the arguments that overrides give."""
    names: set[str] = set()
    for override in overrides:
        key, value = split_key(override.key_or_group), override.value()
        if key[0] == "args":
            names |= {key[1]} if len(key) > 1 else set(map(str, _items(value)))
    return names


def spell(words: Sequence[str], written: Sequence[str], parser: Parser) -> list[str]:
    """Return the overrides of a sweep's job, with numbers as they were written for the sweep.

    A sweeper hands them on as it prints them: `6.7217e+19` for `67217e15`.
    """
    known: dict[str, list[str]] = {}
    for word in written:
        override = parser.parse_one(word)
        key = override.get_key_element()
        if not override.is_sweep_override():
            known.setdefault(key, []).append(word)
        elif override.is_discrete_sweep():
            known.setdefault(key, []).extend(f"{key}={text}" for text in sweep_texts(override))
    return [_respell(word, known, parser) for word in words]


def _respell(word: str, known: Mapping[str, Sequence[str]], parser: Parser) -> str:
    override = parser.parse_one(word)
    if not has_number(override.value()):
        return word
    same = repr(override.value())
    choices = known.get(override.get_key_element(), ())
    return next((each for each in choices if repr(parser.parse_one(each).value()) == same), word)
