"""How a process on a node comes to the function that the app gave Hydra: by names, never by a pickle."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib import import_module
from inspect import getsourcefile, unwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.errors import ConfigError, Problem
from launcher.paths import expand_home

if TYPE_CHECKING:
    from collections.abc import Callable

MARKS = (".git", "pyproject.toml")
"""What the top folder of a project has."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where the task function is."""

    kind: str
    """`script`: run this file; `module`: run it as `python -m` does; `function`: import it."""
    name: str
    """Path within `source`, dotted module, or `module:function`."""
    source: Path
    """The project: what is frozen with the run."""
    paths: tuple[str, ...]
    """Folders of the project that modules are looked for in, relative to it, in order."""
    decorated: bool
    """Whether the function of that name has `@hydra.main` around it."""


def find_entry(task: Callable[..., Any], source: str | None = None) -> Entry:
    """Return how a new process finds the task function; `source` is the project if it was named.

    Raises:
        ConfigError: it has no name that would lead there.
    """
    module = getattr(task, "__module__", None)
    if module == "__main__":
        kind, name, file, decorated = *_started(), True
    else:
        kind, name, file, decorated = "function", *_function(task, str(module))
    top = file.parent if kind == "script" else _top(file, name.partition(":")[0])
    root = (
        expand_home(source, "hydra.launcher.source").absolute() if source is not None else project_root(top)
    )
    if not file.is_relative_to(root):
        problem = Problem("hydra.launcher.source", str(root), f"a folder that holds {file}")
        raise ConfigError([problem])
    if kind == "script":
        name = str(file.relative_to(root))
    return Entry(kind, name, root, _paths(root), decorated)


def project_root(start: Path) -> Path:
    """Return the project that a folder is part of, else the folder; a home folder is no project."""
    for folder in (start, *start.parents):
        if folder == Path.home():
            break
        if any((folder / mark).exists() for mark in MARKS):
            return folder
    return start


def _top(file: Path, module: str) -> Path:
    """Return the folder that a module's outermost package is in."""
    depth = module.count(".") + (file.name == "__init__.py")
    return file.parents[depth]


def _started() -> tuple[str, str, Path]:
    """Return what Python was started with."""
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if file is None:
        raise ConfigError([_nameless("typed into Python or a notebook")])
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return "module", str(spec.name), Path(file).absolute()
    return "script", "", Path(file).absolute()


def _function(task: Callable[..., Any], module: str) -> tuple[str, Path, bool]:
    name = getattr(task, "__qualname__", None)
    if name is None or "<" in name:  # a callable object, a lambda, a function in a function
        raise ConfigError([_nameless(repr(task))])
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    file = getsourcefile(unwrap(task))
    if file is None or not (found is task or _wraps(found, task)):
        raise ConfigError([_nameless(f"{module}:{name}")])
    return f"{module}:{name}", Path(file).absolute(), found is not task


def _wraps(found: Any, task: Any) -> bool:
    """Tell whether a function is another one with decorators such as `@hydra.main` around it."""
    while hasattr(found, "__wrapped__"):
        found = found.__wrapped__
        if found is task:
            return True
    return False


def _nameless(given: str) -> Problem:
    return Problem(
        "hydra/launcher",
        given,
        "a task function that another process finds: in a file, not inside a function",
        "Nothing is pickled",
    )


def _paths(root: Path) -> tuple[str, ...]:
    paths: list[str] = []
    for entry in sys.path:
        folder = Path(os.path.abspath(entry))  # noqa: PTH100  # without `..`
        if folder.is_relative_to(root) and folder.is_dir() and not folder.is_relative_to(sys.prefix):
            paths.append(str(folder.relative_to(root)))
    return tuple(dict.fromkeys(paths))
