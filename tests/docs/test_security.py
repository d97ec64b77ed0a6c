"""What docs/security.md promises is shown by tests, and checks for holes are left out with a reason."""

from __future__ import annotations

import ast
import re
import tomllib

from .pages import REPOSITORY

PAGE = (REPOSITORY / "docs" / "security.md").read_text("utf-8")
HOLES = re.compile(r"S\d{3}")


def promises() -> list[list[str]]:
    """Return the cells of each row of the table of promises."""
    [table] = re.findall(r"^\| promise \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()]


def test_every_promise_names_a_mechanism_and_a_test_that_exists() -> None:
    rows = promises()
    assert len(rows) > 15
    for promise, how, test in rows:
        assert promise.endswith(".")
        assert how.endswith(".")
        file, _, name = test.strip("`").partition("::")
        tree = ast.parse((REPOSITORY / file).read_text("utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, test


def test_every_check_for_holes_that_is_left_out_has_a_reason() -> None:
    """An assert needs none: it tells the type checker what was checked before, and decides nothing."""
    found = 0
    for folder in ("launcher", "hydra_plugins", "train_scripts", "tests", "benchmarks"):
        for file in (REPOSITORY / folder).rglob("*.py"):
            for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
                code, _, words = line.partition("# noqa: ")
                rules, _, reason = words.partition("#")
                if not HOLES.search(rules):
                    continue
                found += 1
                is_assert = set(HOLES.findall(rules)) == {"S101"} and code.strip().startswith("assert ")
                assert reason.strip() or is_assert, f"{file}:{number}"
    assert found > 20
    settings = (REPOSITORY / "pyproject.toml").read_text("utf-8")
    assert tomllib.loads(settings)["tool"]["ruff"]["lint"]["select"] == ["ALL"]
    lines = [line for line in settings.splitlines() if re.search(r'"S\d{3}"', line)]
    assert lines
    assert all("#" in line for line in lines), lines
