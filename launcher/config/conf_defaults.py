"""What is wrong in the defaults list of a file, each with its line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import yaml

from launcher.config.conf_text import display_path
from launcher.errors import Problem, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from launcher.config.compose import Composer
    from launcher.config.conf_text import ConfText

SELF: Final = "_self_"
UNKNOWN_PACKAGE: Final = r"In '{name}': Could not override '[^']+@"
TWICE: Final = "Multiple values for "


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry that names a choice of a group."""

    sign: str
    """`override`, `optional` or nothing."""
    group: str
    """As the file writes it."""
    names: tuple[str, ...]
    line: int


def defaults_problems(composer: Composer, text: ConfText, reason: str) -> Iterator[Problem | str]:
    """Yield what is wrong in the defaults list of a file; `reason` is Hydra's, if it read the file."""
    if re.search(UNKNOWN_PACKAGE.format(name=re.escape(text.name)), reason) and not text.is_global:
        yield text.package_problem()
        return
    pairs: Any = text.root.value if isinstance(text.root, yaml.MappingNode) else ()
    node = next((value for key, value in pairs if key.value == "defaults"), None)
    if node is None:
        return
    if not isinstance(node, yaml.SequenceNode):
        given = node.value if isinstance(node, yaml.ScalarNode) else "a mapping"
        yield Problem(f"{text.place('defaults')}: defaults", given, "a list: a line `- …` for each entry")
        return
    selves = [item for item in node.value if item.value == SELF]
    if len(selves) > 1:
        yield f"{_place(text, selves[1])}: defaults: {SELF} stands there more than once. Keep one of them"
    for item in node.value:
        yield from _entry_problems(composer, text, item, reason)


def _entry_problems(composer: Composer, text: ConfText, item: Any, reason: str) -> Iterator[Problem | str]:
    key = f"{_place(text, item)}: defaults"
    if isinstance(item, yaml.ScalarNode):
        if item.tag != "tag:yaml.org,2002:str":
            yield Problem(key, item.value, "the name of a file or group: choice")
        elif item.value != SELF and "${" not in item.value:
            yield from _file_problems(composer, text, key, item.value)
        return
    if not isinstance(item, yaml.MappingNode) or len(item.value) != 1:
        yield f"{key}: expected one group an entry. Begin each with a `-` of its own"
        return
    name, choice = item.value[0]
    *signs, group = name.value.split()
    chosen = (
        [each.value for each in choice.value] if isinstance(choice, yaml.SequenceNode) else [choice.value]
    )
    plain = [each for each in chosen if "${" not in each and each not in {"", "???", "null", "~"}]
    entry = _Entry(" ".join(signs), group.partition("@")[0], tuple(plain), item.start_mark.line + 1)
    yield from _choice_problems(composer, text, key, entry, reason)


def _choice_problems(
    composer: Composer, text: ConfText, key: str, entry: _Entry, reason: str
) -> Iterator[Problem | str]:
    repository = composer.loader.repository
    absolute = entry.group.lstrip("/")
    relative = entry.group.startswith("/") or not text.folder
    group = absolute if relative else f"{text.folder}/{absolute}"
    shown_group = f"{entry.sign} {entry.group}".strip()
    if absolute.startswith("hydra/") or "${" in group:
        return
    if not repository.group_exists(group):
        if repository.group_exists(absolute):
            hint = f"Write {entry.sign} /{absolute}: {', '.join(entry.names)}"
            yield Problem(key, shown_group, "a group; without / it is one below its own folder", hint)
        elif entry.sign != "optional":
            groups = [name for name in composer.loader.list_groups("") if name not in {"schema", "hydra"}]
            yield Problem(
                key, shown_group, f"one of the groups {', '.join(groups)}", nearest(absolute, groups)
            )
        return
    options = composer.options(group)
    for name in entry.names if entry.sign != "optional" else ():
        if name.removesuffix(".yaml") not in options and not repository.config_exists(f"{group}/{name}"):
            given, words = f"{shown_group}: {name}", f"one of {', '.join(options)}"
            yield Problem(key, given, words, nearest(name, options))
    if not entry.sign and reason.startswith(f"{TWICE}{group}."):
        hint = f"Write - override /{group}: {', '.join(entry.names)}"
        yield Problem(key, shown_group, "an override: the group is chosen from already", hint)


def _file_problems(composer: Composer, text: ConfText, key: str, name: str) -> Iterator[Problem | str]:
    """Yield the problem of an entry that names a file."""
    sign, _, bare = name.rpartition(" ")
    bare = bare.partition("@")[0].removesuffix(".yaml")
    relative = bare.startswith("/") or not text.folder
    path = bare.lstrip("/") if relative else f"{text.folder}/{bare}"
    if sign == "optional" or composer.loader.repository.config_exists(path):
        return
    folder = path.rpartition("/")[0]
    names = [each for each in composer.options(folder) if not each.startswith("_")]
    words = f"a file in {folder}/: {', '.join(names)}" if folder else f"a file: {', '.join(names)}"
    yield Problem(key, name, words, nearest(path.rpartition("/")[2], names))


def loop(texts: Sequence[ConfText], names: Sequence[str]) -> str:
    """Return the problem of files whose defaults lead back to themselves; `names` in the order of reading."""
    order = [name for name, following in pairwise([*names, ""]) if name != following]
    last = order.pop()
    start = len(order) - 1 - order[::-1].index(last) if last in order else len(order)
    ring = [*order[start:], last] if start < len(order) else [last, last]
    text = next((each for each in texts if each.name in ring), None)
    where = text.place("defaults") if text is not None else last
    return f"{where}: these defaults lead back to themselves: {' → '.join(ring)}. Remove one of the entries"


def _place(text: ConfText, node: Any) -> str:
    return f"{display_path(text.path)}:{node.start_mark.line + 1}"
