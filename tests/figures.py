"""Figures of a source tree: `python -m tests.figures [TREE …]`; `tests/unit/test_layout.py` holds the limits.

Imports count wherever they stand: at the top, inside functions, and for type checking only.
"""

from __future__ import annotations

import ast
import gc
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[1]
FILE_LINES = 300
FUNCTION_LINES = 50
AXES = {
    "compute": {"local", "docker", "slurm", "gridengine"},
    "distribution": {"single", "mpi", "horovod", "parameter_server", "multi_worker", "torch"},
    "environment": {"current", "packages", "image", "conda"},
    "data": {"inputs"},
}
"""The packages with choices, and the kinds of each."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """A module of the product."""

    path: Path
    name: str
    """Dotted; a package has the name of its folder."""
    lines: int
    tree: ast.Module

    @property
    def stem(self) -> str:
        """The name of the file, or of the folder of a package."""
        return self.name.rpartition(".")[2]

    @property
    def group(self) -> str:
        """The package of `launcher` that it is in, or is."""
        return self.name.split(".")[1] if "." in self.name else ""


@dataclass(frozen=True, slots=True)
class Definition:
    """A class or function."""

    module: str
    name: str
    lines: int
    function: bool


@dataclass(frozen=True)
class Tree:
    """The modules below `launcher/` of a source tree."""

    root: Path
    modules: dict[str, Module] = field(default_factory=dict[str, Module])

    @classmethod
    def read(cls, root: Path = REPOSITORY) -> Tree:
        """Parse a source tree."""
        modules: dict[str, Module] = {}
        for path in sorted((root / "launcher").rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            text = path.read_text(encoding="utf-8")
            modules[name] = Module(path, name, text.count("\n"), _parse(text))
        return cls(root, modules)

    @cached_property
    def definitions(self) -> list[Definition]:
        """Every class and function."""
        return [
            Definition(
                module.name, node.name, (node.end_lineno or 0) - node.lineno + 1, isinstance(node, Function)
            )
            for module in self.modules.values()
            for node in ast.walk(module.tree)
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        ]

    def long_files(self) -> dict[str, int]:
        """Return the length of each file that is too long."""
        return {name: each.lines for name, each in self.modules.items() if each.lines > FILE_LINES}

    def long_functions(self) -> dict[str, int]:
        """Return the length of each function that is too long."""
        return {
            f"{each.module}:{each.name}": each.lines
            for each in self.definitions
            if each.function and each.lines > FUNCTION_LINES
        }

    def doubled_names(self) -> dict[str, list[str]]:
        """Return the modules of each file name that more than one has."""
        count = Counter(module.stem for module in self.modules.values())
        return {
            stem: [name for name, module in self.modules.items() if module.stem == stem]
            for stem, times in count.items()
            if times > 1
        }

    def names(self) -> set[str]:
        """Return the names of all files, classes and functions."""
        return {module.stem for module in self.modules.values()} | {each.name for each in self.definitions}

    def circles(self) -> list[frozenset[str]]:
        """Return the sets of modules that import one another, directly or through others; largest first."""
        found = components({name: set(self._imports(module)) for name, module in self.modules.items()})
        return sorted(
            (circle for circle in found if len(circle) > 1), key=lambda circle: (-len(circle), *circle)
        )

    def _imports(self, module: Module) -> Iterator[str]:
        package = module.name if module.path.stem == "__init__" else module.name.rpartition(".")[0]
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if alias.name in self.modules)
            elif isinstance(node, ast.ImportFrom):
                above = package.rsplit(".", node.level - 1)[0] if node.level else ""
                origin = ".".join(part for part in (above, node.module) if part)
                for alias in node.names:
                    below = f"{origin}.{alias.name}"
                    name = below if below in self.modules else origin
                    if name in self.modules and name != module.name:
                        yield name

    def kind_questions(self) -> list[str]:
        """Return where a kind of a choice is compared outside the package of the choice."""
        return [
            f"{module.name}:{node.lineno}"
            for module in self.modules.values()
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Compare)
            for group in [_compared_group(node)]
            if group is not None and module.group != group
        ]

    def class_questions(self) -> list[str]:
        """Return where `isinstance` names a choice's class outside the package of the class."""
        return [
            f"{module.name}:{node.lineno}"
            for module in self.modules.values()
            for node in ast.walk(module.tree)
            if _calls(node, "isinstance")
            and any(module.group not in _owners(name, module.group) for name in _names(node.args[1]))
        ]

    def attribute_questions(self) -> list[str]:
        """Return where `getattr` asks an option of a choice that may not have it."""
        return [
            f"{module.name}:{node.lineno}"
            for module in self.modules.values()
            for node in ast.walk(module.tree)
            if _calls(node, "getattr")
            and _last_name(node.args[0]) in AXES
            and module.group != _last_name(node.args[0])
        ]

    def untyped_dicts(self) -> int:
        """Return how often the agent writes `dict[str, Any]`."""
        texts = (each.path.read_text("utf-8") for each in self.modules.values() if each.group == "agent")
        return sum(len(re.findall(r"[dD]ict\[str, Any\]", text)) for text in texts)


_KINDS = {kind.replace("_", ""): axis for axis, kinds in AXES.items() for kind in kinds}
"""The package of each choice, by the name of its class in lower case."""
_CONTAINERS = {"Podman", "Apptainer", "Enroot", "PodmanContainer", "DockerContainer", "EngineBox", "Box"}


def _parse(text: str) -> ast.Module:
    """Parse a file with the garbage collector off.

    Before Python 3.11.8, `ast.parse` fails if a finalizer that runs meanwhile parses too, as one does that
    prints a traceback (CPython, gh-106905).
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(text)
    finally:
        if enabled:
            gc.enable()


def components(graph: dict[str, set[str]]) -> list[frozenset[str]]:
    """Return the strongly connected components of a graph (Tarjan, 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[frozenset[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for below in graph[node]:
            if below not in index:
                visit(below)
                low[node] = min(low[node], low[below])
            elif below in stack:
                low[node] = min(low[node], index[below])
        if low[node] == index[node]:
            at = stack.index(node)
            found.append(frozenset(stack[at:]))
            del stack[at:]

    for node in graph:
        if node not in index:
            visit(node)
    return found


def _owners(name: str, default: str) -> set[str]:
    """Return the packages that may ask for a class: the choice's own, and the agent's side of it."""
    if name in _CONTAINERS:
        return {"agent"}
    return {_KINDS.get(name.lower(), default), "agent"}


def _calls(node: ast.AST, name: str) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name


def _names(node: ast.AST) -> list[str]:
    return [each.id for each in ast.walk(node) if isinstance(each, ast.Name)]


def _last_name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _compared_group(node: ast.Compare) -> str | None:
    """Return the package whose kind a comparison asks for."""
    sides = [node.left, *node.comparators]
    if not any(_is_kind(side) for side in sides):
        return None
    values = [each.value for side in sides for each in ast.walk(side) if isinstance(each, ast.Constant)]
    return next((axis for axis, kinds in AXES.items() if kinds & set(map(str, values))), None)


def _is_kind(node: ast.AST) -> bool:
    """Return whether an expression is `….kind`, `kind`, `…["kind"]` or `….get("kind")`."""
    if isinstance(node, ast.Subscript):
        return isinstance(node.slice, ast.Constant) and node.slice.value == "kind"
    if isinstance(node, ast.Call):
        first = node.args[0] if node.args else None
        return _last_name(node.func) == "get" and isinstance(first, ast.Constant) and first.value == "kind"
    return _last_name(node) == "kind"


def figures(root: Path) -> dict[str, int]:
    """Return the figures of a source tree."""
    tree = Tree.read(root)
    circles = tree.circles()
    return {
        "lines of launcher/ (*.py)": _lines(root / "launcher", "*.py"),
        "files of launcher/ (*.py)": len(tree.modules),
        "lines of tests/ (*.py)": _lines(root / "tests", "*.py"),
        "lines of docs/ (*.md)": _lines(root / "docs", "*.md"),
        "`kind ==` outside the choice's package": len(tree.kind_questions()),
        "`isinstance(…, Choice)` outside its package": len(tree.class_questions()),
        "`getattr(spec.choice, …)` outside its package": len(tree.attribute_questions()),
        "`dict[str, Any]` in agent": tree.untyped_dicts(),
        "circles of imports": len(circles),
        "modules in circles": sum(map(len, circles)),
        f"functions of more than {FUNCTION_LINES} lines": len(tree.long_functions()),
        f"files of more than {FILE_LINES} lines": len(tree.long_files()),
        "file names that exist twice": len(tree.doubled_names()),
    }


def _lines(folder: Path, pattern: str) -> int:
    return sum(path.read_bytes().count(b"\n") for path in folder.rglob(pattern) if "stores" not in path.parts)


def main(roots: list[Path]) -> None:
    """Print the figures of source trees side by side."""
    columns = [figures(root) for root in roots]
    for name in columns[0]:
        numbers = "".join(f"{column[name]:>9,}" for column in columns)
        sys.stdout.write(f"{name:48}{numbers}\n")


if __name__ == "__main__":
    main([Path(word).resolve() for word in sys.argv[1:]] or [REPOSITORY])
