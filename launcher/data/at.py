"""Where inputs are linked into the folder that a script works in (`data.inputs.<name>.at`)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from launcher.errors import Problem
from launcher.store.ignore import Chain, first_chain, read_rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_OWN = ("outputs", "logs")


def check_links(paths: Mapping[str, str], source: Path) -> Iterable[Problem]:
    """Return what is wrong with the paths of inputs, by the inputs' names."""
    for name, at in paths.items():
        key = f"data.inputs.{name}.at"
        parts = at.split("/")
        if {"", ".", ".."} & set(parts):
            yield Problem(key, at, "a path relative to the working folder and inside it, such as data/raw")
            continue
        if parts[0] in _OWN:
            yield Problem(key, at, "a path outside outputs and logs, which are the run's")
        inside = [other for other, path in paths.items() if other != name and f"{at}/".startswith(f"{path}/")]
        if inside:
            yield Problem(key, at, f"a path of its own: data.inputs.{inside[0]}.at is {paths[inside[0]]}")
        taken = _taken(source, parts)
        if taken is not None:
            expected = "a path that the source does not have, or an empty folder"
            yield Problem(key, at, expected, f"The source has {taken}")


def _taken(source: Path, parts: list[str]) -> str | None:
    """Return the path in the source that stands in the way of a link; what is ignored does not."""
    ignore_name, chain = first_chain(source)
    path, prefix, folder = "", "", source
    for part in parts:
        if (folder / ignore_name).is_file():
            chain = Chain(chain, prefix, read_rules(str(folder / ignore_name)))
        folder /= part
        path = prefix + part
        is_folder = folder.is_dir()
        if not os.path.lexists(folder) or (chain is not None and chain.ignores(path, folder=is_folder)):
            return None
        if not is_folder or folder.is_symlink():
            return path
        prefix = f"{path}/"
    return path if any(folder.iterdir()) else None
