"""One file of a configuration as YAML nodes, whose lines are known, and why it cannot be read."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from hydra.plugins.config_source import ConfigSource
from omegaconf import OmegaConf
from omegaconf.errors import GrammarParseError, OmegaConfBaseException

from launcher.errors import Problem
from launcher.streams import is_utf8
from launcher.yaml_bounds import (
    CYCLE,
    DEEP,
    LARGE,
    MANY,
    SPECIAL,
    BoundsError,
    check_file,
    check_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GLOBAL: Final = "# @package _global_"
HEADER: Final = re.compile(r"\s*#\s*@\s*package\b")

REMEDIES: Final = (
    (r"'\\t'", "Indent with spaces, not with a tab"),
    ("cannot start any token", "Put the value into quotes"),
    ("mapping values are not allowed", "Put a value that contains ': ' into quotes"),
    ("undefined alias", "Put a value that begins with * into quotes"),
    ("constructor for the tag", "Put a value that begins with ! into quotes"),
    ("another document", "Remove the line ---"),
    (SPECIAL, "Put a file in its place"),
    (LARGE, "Large data belongs into files of the source, or into data.inputs"),
    (CYCLE, "Remove the * that names what it stands in"),
    (DEEP, "Use fewer brackets or levels"),
    (MANY, "Large data belongs into files of the source, or into data.inputs"),
    ("<block end>", "Indent it as line {line} is indented, or further below a key"),
    ("", "Close the bracket or the quote of line {line}"),
)
"""A part of what YAML reports, and what to do; `line` is where the construct begins."""


@dataclass(frozen=True, slots=True)
class ConfText:
    """A file below a project's conf, such as `experiment/quick`."""

    name: str
    path: Path
    root: Any = None
    """A node of YAML; None for an empty or unreadable file."""
    lines: tuple[str, ...] = ()
    problems: list[Problem | str] = field(default_factory=list["Problem | str"])
    """Why it cannot be read."""

    @property
    def folder(self) -> str:
        """Return the group that the file is a choice of."""
        return self.name.rpartition("/")[0]

    def place(self, *keys: Any) -> str:
        """Return `FILE:LINE` of a key, or of the last key on the way to it that the file has."""
        line, node = 1, self.root
        for key in keys:
            pairs: Any = node.value if isinstance(node, yaml.MappingNode) else ()
            for name, value in pairs:
                if str(key) in {name.value, str(yaml.safe_load(name.value))}:  # `yes` is read as True
                    line, node = name.start_mark.line + 1, value
        return f"{display_path(self.path)}:{line}"

    @property
    def is_global(self) -> bool:
        """Whether its keys are those at the top."""
        header = ConfigSource._get_header_dict("\n".join(self.lines))  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # as Hydra reads it
        return header["package"] == "_global_"

    def package_problem(self) -> str:
        """Return the problem of a file whose keys are not at the top because its first line is missing."""
        for number, line in enumerate(self.lines, 1):
            if HEADER.match(line):
                wrong = line.strip() != GLOBAL
                hint = f"Write `{GLOBAL}`" if wrong else "Move it to the first line"
                place = f"{display_path(self.path)}:{number}"
                return f"{place}: `{line.strip()}` does not put the keys at the top. {hint}"
        about = "this file is empty" if self.root is None else "its keys are for the whole configuration"
        return f"{display_path(self.path)}:1: {about}; begin it with the line `{GLOBAL}`"


def display_path(path: Path) -> str:
    """Return a path as a message shows it: relative to the working folder if it lies below."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else os.fspath(path)


def parse(conf: Path, name: str) -> ConfText:
    """Read a file of a project's conf."""
    path = conf / f"{name}.yaml"
    try:
        check_file(path)
        data = path.read_bytes()
    except BoundsError as error:
        return ConfText(name, path, problems=[_syntax_problem(path, "", error)])
    except OSError as error:
        return ConfText(name, path, problems=[f"{display_path(path)}: cannot be read: {error.strerror}"])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        byte = f"byte 0x{data[error.start]:02x}"
        problem = Problem(f"{display_path(path)}:{line}", byte, "text in UTF-8", "Save the file as UTF-8")
        return ConfText(name, path, problems=[problem])
    try:
        check_text(text)
        root: Any = yaml.compose(text, Loader=yaml.SafeLoader)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # untyped there
    except yaml.YAMLError as error:
        return ConfText(name, path, problems=[_syntax_problem(path, text, error)])
    found = ConfText(name, path, root, tuple(text.splitlines()))
    found.problems.extend(_structure_problems(found, text))
    return found


def _syntax_problem(path: Path, text: str, error: yaml.YAMLError) -> str:
    """Return where the file is no YAML, and what to do."""
    if not isinstance(error, yaml.MarkedYAMLError):
        position = getattr(error, "position", 0)
        line, character = text[:position].count("\n") + 1, text[position : position + 1]
        return str(
            Problem(
                f"{display_path(path)}:{line}", character, "text that YAML can hold", "Remove the character"
            )
        )
    mark, context = error.problem_mark, error.context_mark or error.problem_mark
    line = mark.line + 1 if mark else 1
    begin = context.line + 1 if context else 1
    words = error.problem or str(error)
    remedy = next(hint for part, hint in REMEDIES if re.search(part, words)).format(line=begin)
    return f"{display_path(path)}:{line}: {words}. {remedy}"


def _structure_problems(text: ConfText, whole: str) -> Iterator[Problem | str]:
    """Yield what YAML takes and a configuration does not."""
    if text.root is None:
        return
    if not isinstance(text.root, yaml.MappingNode):
        kind = "a list" if isinstance(text.root, yaml.SequenceNode) else text.root.value
        place = f"{display_path(text.path)}:{text.root.start_mark.line + 1}"
        yield Problem(place, kind, "keys with values, such as nodes: 2")
        return
    problems = list(_node_problems(text, text.root))
    yield from problems
    if not problems:
        try:
            OmegaConf.create(whole)
        except yaml.YAMLError as error:
            yield _syntax_problem(text.path, whole, error)
        except (OmegaConfBaseException, ValueError) as error:
            yield f"{display_path(text.path)}: {str(error).splitlines()[0]}"


def _key_problems(line: str, key: Any, counts: Counter[str]) -> Iterator[Problem | str]:
    if not isinstance(key, yaml.ScalarNode):
        yield Problem(line, None, "a name before the colon")
    elif not is_utf8(key.value):
        yield _half(line, key.value)
    elif counts[key.value] > 1:
        counts[key.value] = 0  # one problem for all of them
        yield f"{line}: the key {key.value} stands there more than once. Keep one of them"


def _half(place: str, given: str) -> Problem:
    return Problem(place, given, "text that UTF-8 can hold", "Remove the escape of half a character")


def _node_problems(text: ConfText, node: Any) -> Iterator[Problem | str]:
    place = f"{display_path(text.path)}:{node.start_mark.line + 1}"
    if isinstance(node, yaml.MappingNode):
        pairs: Sequence[Any] = node.value
        counts = Counter(key.value for key, _ in pairs if isinstance(key, yaml.ScalarNode))
        for key, value in pairs:
            yield from _key_problems(f"{display_path(text.path)}:{key.start_mark.line + 1}", key, counts)
            yield from _node_problems(text, value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _node_problems(text, item)
    elif not is_utf8(node.value):
        yield _half(place, node.value)
    elif "${" in node.value:
        try:
            OmegaConf.create([node.value])
        except GrammarParseError:
            hint = "For these characters themselves write \\${"
            yield Problem(place, node.value, "${…} with a closing brace", hint)
