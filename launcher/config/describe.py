"""Texts about overrides that are wrong; knows nothing of Hydra."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final

from launcher.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

FUNCTIONS: Final = {
    "choice": "choice(a,b)",
    "range": "range(1,4)",
    "interval": "interval(0,1)",
    "glob": "glob(*)",
    "shuffle": "shuffle(a,b)",
    "sort": "sort(b,a)",
    "tag": "tag(t,choice(a,b))",
    "int": "int(1.5)",
    "float": "float(1)",
    "bool": "bool(1)",
    "str": "str(1)",
}
"""Functions of Hydra's grammar, each as it can be written."""
SWEEPS: Final = frozenset({"choice", "range", "interval", "glob", "shuffle", "sort", "tag"})
FUNCTION: Final = re.compile(r"(\w+)\(.*\)", re.DOTALL)
PAIR: Final = re.compile(r"[A-Za-z_][\w.]*[:/][\w./-]+")
ENDS: Final = (("[", "]"), ("{", "}"), ('"', '"'), ("'", "'"))


def shell_word(text: str) -> str:
    """Return a text as a shell takes it for one word; most easily read in double quotes."""
    if shlex.quote(text) == text:
        return text
    return shlex.quote(text) if set(text) & set('"$`\\!') else f'"{text}"'


def override_problem(word: str, quoted: Callable[[str], str], readable: Callable[[str], bool]) -> str:
    """Return what is wrong with a word that is no override, and how to write it."""
    key, equal, value = word.partition("=")
    if not equal or not key:
        return f"{word}: expected key=value{_override_hint(word, readable)}"
    better = f"{key}={quoted(value)}"
    if not readable(better):
        return _key_problem(key, value, readable)
    literal = f"for the text itself write {shell_word(better)}"
    function = FUNCTION.fullmatch(value)
    if function and function[1] in FUNCTIONS:
        example = f"{key}={FUNCTIONS[function[1]]}"
        sign = "-m " if function[1] in SWEEPS else ""
        return f"{key}: got {value!r}; expected values as in {sign}{shell_word(example)}; {literal}"
    closed = next((each for each in _close(key, value) if readable(each)), None)
    if closed is not None:
        return f"{key}: got {value!r}; expected it closed at both ends. Write {shell_word(closed)}; {literal}"
    return f"{word}: the value needs quotes. Write {shell_word(better)}"


def _close(key: str, value: str) -> Iterator[str]:
    """Yield the word with the bracket or quote closed that its value begins or ends with."""
    for begin, end in ENDS:
        if value.startswith(begin) and not value.endswith(end) and len(value) > 1:
            yield f"{key}={value}{end}"
        if value.endswith(end) and not value.startswith(begin) and len(value) > 1:
            yield f"{key}={begin}{value}"


def _override_hint(word: str, readable: Callable[[str], bool]) -> str:
    """Return the hint for a word without `=`."""
    if word.endswith(".py"):
        return f". For a script write {shell_word(f'script={word}')}"
    if PAIR.fullmatch(word):
        better = re.sub("[:/]", "=", word, count=1)
        return f". Write {better}" if readable(better) else ""
    return f", such as {word}=…" if word.isidentifier() else ""


def _key_problem(key: str, value: str, readable: Callable[[str], bool]) -> str:
    """Return what is wrong with a key, and a key that is close to it if there is one."""
    better = ".".join(part.strip("- []").replace(" ", "-") for part in key.split(".") if part.strip("- []"))
    if better != key and readable(f"{better}=1"):
        return f"{key}: this is no key. Write {shell_word(f'{better}={value}')}"
    return f"{key}: this is no key. Keys are names with dots between them, such as args.batch-size=50"


def sweep_problem(word: str, quoted: Callable[[str], str]) -> str:
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
