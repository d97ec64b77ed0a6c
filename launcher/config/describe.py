"""Texts about overrides that are wrong; knows nothing of Hydra."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from launcher.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def shell_word(text: str) -> str:
    """Return a text as a shell takes it for one word; most easily read in double quotes."""
    if shlex.quote(text) == text:
        return text
    return shlex.quote(text) if set(text) & set('"$`\\!') else f'"{text}"'


def unreadable(word: str, quoted: Callable[[str], str], readable: Callable[[str], bool]) -> str:
    """Tell what is wrong with a word that is no override, and how to write it."""
    key, equal, value = word.partition("=")
    if not equal or not key:
        return f"{word}: expected key=value"
    better = f"{key}={quoted(value)}"
    if readable(better):
        return f"{word}: the value needs quotes. Write {shell_word(better)}"
    return f"{key}: this is no key. Keys are names with dots between them, such as args.batch-size=50"


def swept(word: str, quoted: Callable[[str], str]) -> str:
    """Tell that several values were given where one run was asked for."""
    key, _, value = word.partition("=")
    one = shell_word(f"{key}={quoted(value)}")
    return (
        f"{key}: got {value!r}, which is several values. "
        f"For one text write {one}; for one run each add -m: python -m launcher -m {shell_word(word)}"
    )


def unknown_key(key: str, choices: Sequence[str]) -> str:
    """Return the hint for a key that does not exist, out of all that do."""
    found = nearest(key, choices)
    if found:
        return found
    last = key.rpartition(".")[2]
    same = [choice for choice in choices if choice.rpartition(".")[2] == last]
    return f"Did you mean {same[0]}?" if same else ""
