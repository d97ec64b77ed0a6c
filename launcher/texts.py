"""Whether the texts of a configuration arrive where they are meant to, each by the kind of its key. Pure."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from launcher.errors import Problem
from launcher.streams import is_utf8

if TYPE_CHECKING:
    from collections.abc import Iterator

_LINE = r"[^\0-\x08\x0a-\x1f\x7f-\x9f]*"
_PATH = re.compile(rb"(?!.{2048})[^/\0]{0,255}(/[^/\0]{0,255})*", re.DOTALL)
"""NAME_MAX of Linux between slashes, and half of PATH_MAX: a relative path follows that of a folder."""


class Kind(NamedTuple):
    """What a text may be."""

    pattern: str
    expected: str
    any_bytes: bool = False
    """Whether the bytes of a text that is not UTF-8 arrive as well."""
    path: str | None = None
    """Which of these texts are paths."""

    def problem_of(self, text: str) -> str:
        """Return what is expected in place of a text; nothing if it is of this kind."""
        if self.any_bytes and not is_utf8(text, "surrogateescape"):
            return "whole characters: half of a surrogate pair has no bytes"
        if not self.any_bytes and not is_utf8(text):
            return "a text in UTF-8"
        if not re.fullmatch(self.pattern, text, re.DOTALL):
            return self.expected
        if self.path is not None and re.match(self.path, text) and not _PATH.fullmatch(os.fsencode(text)):
            return "a path without a zero byte, of at most 255 bytes between slashes and 2,047 in all"
        return ""


WORD: Final = Kind(rf"(?=.*\S){_LINE}", "a text of one line, not blank")
LINE: Final = Kind(_LINE, "a text of one line")
LINES: Final = Kind(_LINE.replace(r"\x0a", r"\x0b"), "a text without control characters")
SHELL: Final = Kind(r"[^\0]*", "a text without a zero byte")
ARGUMENT: Final = Kind(r"[^\0]*", "a text without a zero byte: no program can be given one", any_bytes=True)
OPTION: Final = Kind(r"[^\0]*[^\0\s][^\0]*", "a text without a zero byte, not blank")
PATH: Final = Kind(".*", "", any_bytes=True, path="")
INSIDE: Final = PATH._replace(any_bytes=False)
PLACE: Final = Kind(WORD.pattern, WORD.expected, any_bytes=True, path="(?!.*://)")
REQUIREMENT: Final = Kind(WORD.pattern, WORD.expected, path="(?!.*://).*/")
PROGRAM: Final = Kind(f"(?!-){WORD.pattern}", "a text of one line that begins with no '-'", True, "(?!.*://)")
IMAGE: Final = Kind("[A-Za-z0-9][A-Za-z0-9._:/@-]{0,511}", "registry/name:tag or name@sha256:…")
_FILE = r"[^\s|\0-\x1f]"
FILES: Final = Kind(
    rf"(?:{_FILE}{{1,255}}(?!{_FILE})|[ \t|])*", "names of files, of at most 255 bytes", path="(?!)"
)
ANYTHING: Final = Kind(".*", "", any_bytes=True)

KINDS: Final = {
    "name": Kind(
        "[A-Za-z0-9][A-Za-z0-9._-]{0,99}",
        "letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 100 of them",
    ),
    "description": LINES,
    "tags": LINE,
    "command": ARGUMENT,
    "args": ARGUMENT,
    "example.args": ARGUMENT,
    "env": ARGUMENT,
    "app": ANYTHING,
    "source": PATH._replace(pattern=".+", expected="a folder"),
    **dict.fromkeys(("script", "cwd", "stdin", "example.script"), PATH),
    "links": INSIDE,
    "store": Kind(WORD.pattern, "a folder whose path is one line", any_bytes=True, path=""),
    "compute.mounts": PLACE,
    "compute.capabilities": Kind("[A-Za-z_]+", "the name of a capability, such as SYS_PTRACE"),
    "compute.devices": Kind(r"/[^:\0-\x1f]*(:/[^:\0-\x1f]*)?(:[rwm]{1,3})?", "the absolute path of a device"),
    "compute.setup": SHELL,
    "compute.teardown": SHELL,
    "compute.python": PROGRAM,
    "compute.interface": Kind(r"[^-./\s\0-\x1f][^/\s\0-\x1f]{0,14}", "the name of a network interface"),
    "compute.gpu_type": Kind(r"[\w.-]+", "a type of Gres, such as a100"),
    "compute.srun_args": OPTION,
    "compute.container.image": PROGRAM,
    "compute.container.mounts": PLACE,
    "compute.container.options": OPTION,
    "compute.container.wrap": SHELL,
    "distribution.mpi_args": OPTION,
    "environment.python": PROGRAM,
    "environment.pip_packages": REQUIREMENT,
    "environment.requirements_file": PATH,
    "environment.environment_file": PATH,
    "environment.conda_packages": PROGRAM._replace(any_bytes=False),
    "environment.channels": PROGRAM._replace(any_bytes=False),
    "environment.skip_imports": Kind(r"\*|\w[\w.-]*", "the name of a package, or *"),
    "environment.image": IMAGE,
    "environment.base_image": IMAGE,
    "environment.registry.password": LINE,
    "environment.registry.address": Kind(r"[\w\[][\w.:\[\]-]*", "host or host:port, without https://"),
    "environment.dockerfile_lines": LINE,
    "data.inputs.uri": PLACE,
    "data.inputs.at": INSIDE,
    "data.inputs.files": FILES,
    "data.inputs.layout": LINE,
}
"""By the keys of the configuration, without the name of an input. What is not listed is a WORD."""

NAMES: Final = {
    "tags": Kind(
        "[A-Za-z0-9_][A-Za-z0-9_./-]{0,99}", "a tag named with letters, digits, '_', '.', '/' and '-'"
    ),
    "env": Kind(
        "[A-Za-z_][A-Za-z0-9_]*",
        "a variable named with letters, digits and '_', not beginning with a digit",
    ),
    "compute.additional_parameters": Kind(r"[A-Za-z][A-Za-z0-9_-]*", "the name of an option of sbatch"),
    "compute.ulimits": Kind(
        "core|cpu|data|fsize|locks|memlock|msgqueue|nice|nofile|nproc|rss|rtprio|rttime|sigpending|stack",
        "the name of a limit, such as memlock",
    ),
}
"""What the names may be that stand under a key."""


def check_texts(values: object, key: str = "") -> Iterator[Problem]:
    """Return every text of JSON-ready data, such as a configuration, that is not of the kind of its key."""
    if isinstance(values, str):
        expected = _kind(key).problem_of(values)
        if expected:
            yield Problem(key, "***" if key.endswith(".password") else values, expected)
    elif isinstance(values, dict):
        for name, below in cast("dict[object, object]", values).items():
            path = f"{key}.{name}" if key else str(name)
            expected = NAMES[key].problem_of(str(name)) if key in NAMES else ""
            yield from [Problem(path, below, expected)] if expected else check_texts(below, path)
    elif isinstance(values, (list, tuple)):
        for index, below in enumerate(cast("list[object]", values)):
            yield from check_texts(below, f"{key}[{index}]")


def check_paths(values: object) -> list[Problem]:
    """Return the texts that no file can have as its path: to look for one there would fail."""
    return [problem for problem in check_texts(values) if _kind(problem.key).path is not None]


def _kind(key: str) -> Kind:
    """Return the kind of a key such as `env.A`, `command[0]` or `data.inputs.mine.uri`."""
    parts = key.partition("[")[0].split(".")
    names = (".".join(parts), ".".join([*parts[:2], *parts[3:]]), ".".join(parts[:2]), parts[0])
    return next((KINDS[name] for name in names if name in KINDS), WORD)
