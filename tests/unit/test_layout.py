"""The shape of `launcher/`: sizes, names, circles of imports, docstrings of packages.

Each list below holds what breaks a rule today. The test of a rule fails on anything that its list lacks, and
on an entry that is no longer needed, so that the lists only become shorter. Modules go by the last part of
their name.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from tests.figures import FILE_LINES, FUNCTION_LINES, Tree, components

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

LONG = {
    "attempt": "the start of an attempt, its events and its end share nearly all of its state",
    "node": "two lines more than allowed",
    "image_build": "two lines more than allowed, of which the move of options takes some",
    "run_state": "states and causes are not yet apart",
    "sweeps": "two lines more than allowed",
    "create_run": "a record with many fields, each on a line",
}
"""Files of more than 300 lines and functions of more than 50, with the reason."""

SAME_NAME = {
    "containers": "containers of a run: their options, and in agent/ what runs in them",
    "cluster_check": "the check of a Slurm cluster: of the host that submits, and in agent/ of the nodes",
    "completion": "completion of words; in cli/ its command",
    "docker": "the target; in agent/ its side beside the processes",
    "horovod": "the distribution, and the environment that it needs",
    "launch": "launches: of this program, and of a Hydra app",
    "local": "the target; in agent/ its side beside the processes",
    "mpi": "the distribution; in agent/ mpirun's side beside the processes",
    "node": "the agent of a node: its package, and the module that the others serve",
    "options": "the options of a choice: what its configuration can say",
    "slurm": "the target; in agent/ its side beside the processes",
}
"""File names that exist more than once with one meaning, with what it is."""

OTHER_MEANING = {"commands", "failure", "files", "links", "tools"}
"""File names that exist more than once with different meanings."""

WORST_WORDS = {
    "carried", "due", "handover", "here", "orders", "shelf", "sight", "surely", "told", "wanted", "workbench",
}  # fmt: skip
WORST_NAMES = {
    "Workbench", "_check_sight", "_told", "check_sight",
    "shelf", "sight", "told", "wanted", "workbench",
}  # fmt: skip
"""Names of files, classes and functions that have such a word."""

CIRCLES: set[frozenset[str]] = set()
"""Modules that import one another, in functions and for type checking included."""


@pytest.fixture(scope="module")
def tree() -> Tree:
    """This product, parsed."""
    return Tree.read()


def check_list(found: Collection[object], listed: Collection[object], rule: str) -> None:
    """Compare what breaks a rule with what is known to break it."""
    new, gone = set(found) - set(listed), set(listed) - set(found)
    assert not new, f"{rule}: {new}"
    assert not gone, f"no longer needed in the list of this test: {gone}"


def test_a_list_has_what_breaks_a_rule_and_nothing_else() -> None:
    check_list(["a"], {"a": "reason"}, "rule")
    with pytest.raises(AssertionError, match=r"rule: \{'b'\}"):
        check_list(["a", "b"], {"a"}, "rule")
    with pytest.raises(AssertionError, match=r"no longer needed .*\{'a'\}"):
        check_list([], {"a"}, "rule")


def shortened(sizes: Mapping[str, int]) -> list[str]:
    """Return names without what stands before the last dot or colon."""
    names = [re.split(r"[.:]", name)[-1] for name in sizes]
    assert len(set(names)) == len(names), f"two of one name: {sizes}"
    return names


def test_files_and_functions_are_short(tree: Tree) -> None:
    rule = f"at most {FILE_LINES} lines a file and {FUNCTION_LINES} a function"
    check_list(shortened({**tree.long_files(), **tree.long_functions()}), LONG, rule)
    assert all(LONG.values())


def test_a_file_name_has_one_meaning(tree: Tree) -> None:
    check_list(tree.doubled_names(), {*SAME_NAME, *OTHER_MEANING}, "exists more than once")
    assert not OTHER_MEANING & set(SAME_NAME)


def test_names_have_none_of_the_worst_words(tree: Tree) -> None:
    bad = {name for name in tree.names() if WORST_WORDS & words_of(name)}
    check_list(bad, WORST_NAMES, f"names without {WORST_WORDS}")


def words_of(name: str) -> set[str]:
    """Return the words of a name, be it in snake or in camel case."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)}


def test_words_of_a_name() -> None:
    assert words_of("_WorkbenchOfSTDIO") == {"workbench", "of", "stdio"}
    assert words_of("check_sight2") == {"check", "sight2"}


def test_no_modules_import_one_another(tree: Tree) -> None:
    found = {frozenset(name.rpartition(".")[2] for name in circle) for circle in tree.circles()}
    check_list(found, CIRCLES, "a circle of imports")


def test_circles_are_found_through_other_modules_and_type_checking(tmp_path: Path) -> None:
    for path, text in {
        "__init__.py": "",
        "one.py": "from launcher import two\n",
        "two.py": "if TYPE_CHECKING:\n    from launcher.part.three import x\n",
        "part/__init__.py": "",
        "part/three.py": "from . import four\n",
        "part/four.py": "def f():\n    import launcher.one\n    from ..part.five import y\n",
        "part/five.py": "from launcher.one import z\nfrom launcher.part import five\nimport os.path\n",
        "six.py": "from launcher.one import z\n",
    }.items():
        (tmp_path / "launcher" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "launcher" / path).write_text(text)
    (circle,) = Tree.read(tmp_path).circles()
    assert sorted(name.removeprefix("launcher.") for name in circle) == [
        "one", "part.five", "part.four", "part.three", "two",
    ]  # fmt: skip


def test_components_of_a_graph() -> None:
    graph = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"e"}, "e": {"d"}, "f": set[str]()}
    assert set(components(graph)) == {frozenset("abc"), frozenset("de"), frozenset("f")}


def test_questions_about_choices_are_counted_outside_their_packages(tmp_path: Path) -> None:
    asks = (
        "def f(spec, entry):\n"
        "    if spec.compute.kind == 'slurm' or entry['kind'] in {'image', 'x'}: pass\n"
        "    if isinstance(spec.compute, (Docker, str)): pass\n"
        "    if entry.get('kind') == 'exit' or isinstance(spec, str): pass\n"
        "    return getattr(spec.compute, 'pull', None), getattr(entry, 'size')\n"
    )
    for package in ("cli", "compute"):
        (tmp_path / "launcher" / package).mkdir(parents=True)
        (tmp_path / "launcher" / package / "asks.py").write_text(asks)
    tree = Tree.read(tmp_path)
    assert tree.kind_questions() == ["launcher.cli.asks:2", "launcher.cli.asks:2", "launcher.compute.asks:2"]
    assert tree.class_questions() == ["launcher.cli.asks:3"]
    assert tree.attribute_questions() == ["launcher.cli.asks:5"]


def test_each_package_says_what_it_is(tree: Tree) -> None:
    packages = [module for module in tree.modules.values() if module.path.name == "__init__.py"]
    silent = [module.name for module in packages if not _is_sentence(ast.get_docstring(module.tree))]
    assert silent == []
    folders = {module.path.parent for module in tree.modules.values()}
    assert folders == {module.path.parent for module in packages}


def _is_sentence(docstring: str | None) -> bool:
    return re.search(r"\w+ \w+.*[.]", docstring or "", re.DOTALL) is not None
