"""`data=…`: named inputs of a run, as folders or files on this machine or addresses elsewhere."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Final, Self

from launcher.data.at import check_links
from launcher.data.input import Input
from launcher.errors import LauncherError, Problem, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from launcher.facts import Facts
    from launcher.spec import Progress, RunSpec

NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
KEYS: Final = ("uri", "mode", "files", "at", "layout")
MODES: Final = ("mount", "download")
LAYOUTS: Final = ("keras", "torchvision", "azure")
BUILT_IN: Final = ("digits",)
"""What `launcher:NAME` can be."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Named inputs: `${data:NAME}` in args is the input's absolute path on the node."""

    kind: ClassVar[str] = "inputs"

    inputs: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    """By name, each with `uri`, and if need be `mode`, `files`, `at` and `layout`: see `Input`. In `files`,
    blanks stand between files and `|` between the names that one may go by."""

    def items(self) -> Iterator[Input]:
        """Yield the inputs."""
        for name, given in self.inputs.items():
            files = tuple(tuple(word.split("|")) for word in given.get("files", "").split())
            texts = {key: given[key] for key in KEYS if key in given and key != "files"}
            yield Input(name=name, files=files, **texts)

    def names(self) -> tuple[str, ...]:
        """See `Data.names`."""
        return tuple(self.inputs)

    def located(self, base: Path) -> Self:
        """Return the same inputs with relative paths against `base`."""
        inputs = {name: dict(given) for name, given in self.inputs.items()}
        for each in self.items():
            if each.scheme == "file" and each.uri:
                inputs[each.name]["uri"] = os.path.normpath(base / each.path)
        return replace(self, inputs=inputs)

    def check(self, spec: RunSpec, facts: Facts) -> Iterable[Problem]:
        """See `Data.check`."""
        del facts
        yield from check_links({each.name: each.at for each in self.items() if each.at}, spec.source)
        variables: dict[str, str] = {}
        for each in self.items():
            key = f"data.inputs.{each.name}"
            given = self.inputs[each.name]
            if not NAME.fullmatch(each.name):
                yield Problem(
                    key, each.name, "a name of letters, digits, '_' and '-', beginning with a letter"
                )
            other = variables.setdefault(variable(each.name), each.name)
            if other != each.name:
                yield Problem(key, each.name, f"another name: {variable(each.name)} is taken by {other}")
            for unknown in given.keys() - set(KEYS):
                yield Problem(
                    f"{key}.{unknown}", given[unknown], f"one of {', '.join(KEYS)}", nearest(unknown, KEYS)
                )
            if each.mode not in MODES:
                yield Problem(f"{key}.mode", each.mode, " or ".join(MODES), nearest(each.mode, MODES))
            if each.layout and each.layout not in LAYOUTS:
                expected = f"one of {', '.join(LAYOUTS)}"
                yield Problem(f"{key}.layout", each.layout, expected, nearest(each.layout, LAYOUTS))
            yield from _check_place(each, f"{key}.uri")

    def prepare(self, cache: Path, progress: Progress) -> Mapping[str, str]:
        """See `Data.prepare`.

        Raises:
            LauncherError: an input cannot be had.
        """
        from launcher.data.fetch import bring  # noqa: PLC0415  # most launches only check

        paths: dict[str, str] = {}
        for each in self.items():
            try:
                paths[each.name] = str(bring(each, cache, progress))
            except OSError as error:  # a full disk, a cache that cannot be written
                hint = "LAUNCHER_CACHE names another folder"
                text = f"data.inputs.{each.name} cannot be brought into {cache}: {error}. {hint}"
                raise LauncherError(text) from error
        return paths


def variable(name: str) -> str:
    """Return the environment variable that tells a script where an input is."""
    return f"LAUNCHER_DATA_{name.upper().replace('-', '_')}"


def found_files(folder: Path, files: Iterable[tuple[str, ...]]) -> tuple[list[Path], list[str]]:
    """Return the files that are in a folder, and the first name of each that is not."""
    there: list[Path] = []
    missing: list[str] = []
    for names in files:
        paths = [folder / name for name in names if (folder / name).is_file()]
        if paths:
            there.append(paths[0])
        else:
            missing.append(names[0])
    return there, missing


def _check_place(each: Input, key: str) -> Iterator[Problem]:
    if not each.uri:
        yield Problem(key, each.uri, "a path or an address")
    elif each.scheme == "launcher":
        name = each.uri.partition(":")[2]
        if name not in BUILT_IN:
            known = [f"launcher:{built_in}" for built_in in BUILT_IN]
            yield Problem(key, each.uri, f"one of {', '.join(known)}", nearest(each.uri, known))
    elif each.scheme == "file":
        if not each.path.exists():
            yield Problem(key, each.uri, "a folder or file that exists")
        elif each.files:
            missing = found_files(each.path, each.files)[1]
            if missing:
                yield Problem(
                    key, each.uri, f"a folder with {', '.join(missing)}", "Plain or gzipped is the same"
                )
